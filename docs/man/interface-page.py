#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the manual page org.wsserver1(5) from the documented interface XML: interface-page.py XML > PAGE.

The comment in front of each interface, method and signal is its documentation, in the form that gdbus-codegen
reads: "Name:", lines "@argument: text", an empty line, text. A member without one is an error, so that the page, and
everything else that is made from the XML, stays whole.
"""
import re
import sys
import xml.etree.ElementTree as ET


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", text)


def parse_comment(text, name):
    """The arguments' texts by name, and the paragraphs."""
    lines = [line.strip() for line in text.strip().splitlines()]
    if not lines or not lines[0].startswith(name + ":"):
        sys.exit(f"{name}: the comment in front of it does not begin with its name")
    arguments, paragraphs, current = {}, [], []
    first = lines[0][len(name) + 1:].strip()
    if first:
        current.append(first)
    last = None
    for line in lines[1:]:
        match = re.match(r"@(\w+):\s*(.*)", line)
        if match:
            last = match.group(1)
            arguments[last] = match.group(2)
        elif not line:
            last = None
            if current:
                paragraphs.append(" ".join(current))
            current = []
        elif last:
            arguments[last] += " " + line
        else:
            current.append(line)
    if current:
        paragraphs.append(" ".join(current))
    arguments.pop("short_description", None)
    return arguments, paragraphs


def signature(member):
    def side(direction):
        found = [a for a in member.findall("arg") if a.get("direction", direction) == direction]
        return ", ".join(f"{a.get('type')} {a.get('name')}" for a in found)
    if member.tag == "signal":
        return f"({side('out')})"
    out = side("out")
    return f"({side('in')})" + (f" → ({out})" if out else "")


def print_member(member, comment):
    name = member.get("name")
    if comment is None:
        sys.exit(f"{name}: there is no comment in front of it")
    arguments, paragraphs = parse_comment(comment, name)
    documented = {a.get("name") for a in member.findall("arg")} - {"options"}
    if documented - set(arguments):
        sys.exit(f"{name}: undocumented arguments: {', '.join(sorted(documented - set(arguments)))}")
    if member.tag == "property":
        print(f".TP\n.BR {escape(name)} \" {escape(member.get('type'))}\"")
    else:
        print(f".TP\n.BR {escape(name)} \" {escape(signature(member))}\"")
    for argument, text in arguments.items():
        print(f".I {escape(argument)}\n\\- {escape(text)}\n.br")
    for index, paragraph in enumerate(paragraphs):
        print((".IP\n" if index or arguments else "") + escape(paragraph))


def main():
    parser = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    root = ET.parse(sys.argv[1], parser).getroot()
    print('.\\" Made from org.wsserver1.xml\n.TH ORG.WSSERVER1 5 "" "wsserverd" "D-Bus interfaces"')
    print(".SH NAME\norg.wsserver1 \\- the D\\-Bus interface of wsserverd")
    comment = None
    for node in root:
        if node.tag is ET.Comment:
            comment = node.text
            continue
        print(f".SH {escape(node.get('name')).upper()}")
        _, paragraphs = parse_comment(comment, node.get("name"))
        for paragraph in paragraphs:
            print(".PP\n" + escape(paragraph))
        inner, section = None, None
        for member in node:
            if member.tag is ET.Comment:
                inner = member.text
                continue
            if member.tag != section:
                section = member.tag
                print(f".SS {({'method': 'Methods', 'signal': 'Signals', 'property': 'Properties'})[section]}")
            print_member(member, inner)
            inner = None
    print(errors_section())
    print('.SH "SEE ALSO"\n.BR wsserverd (8),\n.BR wsserverd.json (5),\n.BR busctl (1)')


ERRORS = [
    ("PermissionDenied", 201, "the caller may not do this"),
    ("InvalidArgument", 401, "malformed call; the message names the argument"),
    ("MessageTooBig", 401, "data above maxMessageSize"),
    ("NotSupported", 801, "this device profile may not run servers"),
    ("CertificateNotFound", 2302002, "certificate or key missing or unusable"),
    ("InvalidAddress", 2302004, "not an address, or not one of this machine"),
    ("InvalidPort", 2302005, "port out of range"),
    ("ConnectionNotFound", 2302006, "no such connection (any more)"),
    ("PortInUse", 2302007, "the port is taken"),
    ("AlreadyRunning", 2302999, "Start of a server that is not stopped"),
    ("NotRunning", 2302999, "the server has to be running for this"),
    ("LimitExceeded", 2302999, "a limit is reached; the message names it"),
    ("WouldBlock", 2302999, "the peer's queue is full; Drained follows"),
    ("ChannelInUse", 2302999, "the data channel is open"),
    ("ShuttingDown", 2302999, "the server was stopped or released meanwhile"),
    ("Failed", 2302999, "everything else; the message says what and what to do"),
]


def errors_section():
    lines = [".SH ERRORS", "Names begin with org.wsserver1.Error. The number is what the signal Error carries."]
    for name, number, text in ERRORS:
        lines.append(f".TP\n.BR {name} \" {number}\"\n{escape(text)}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
