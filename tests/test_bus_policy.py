# SPDX-License-Identifier: Apache-2.0
"""The shipped bus policy names every member of the interface: a forgotten one answers AccessDenied on a real system bus."""

import pathlib
import xml.etree.ElementTree

DBUS = pathlib.Path(__file__).resolve().parents[1] / "dbus"


def policies():
    return xml.etree.ElementTree.parse(DBUS / "org.wsserver1.conf").getroot().findall("policy")


def allowed_for_everybody():
    [everybody] = [policy for policy in policies() if policy.get("context") == "default"]
    return [rule for rule in everybody if rule.tag == "allow"]


def test_every_method_of_the_interface_can_be_called_and_nothing_else():
    interfaces = xml.etree.ElementTree.parse(DBUS / "org.wsserver1.xml").getroot().findall("interface")
    members = {(interface.get("name"), method.get("name")) for interface in interfaces for method in interface.findall("method")}
    allowed = {(rule.get("send_interface"), rule.get("send_member")) for rule in allowed_for_everybody()}
    assert members and {pair for pair in allowed if pair[0].startswith("org.wsserver1")} == members


def test_every_rule_is_about_one_member_of_our_service():
    for rule in allowed_for_everybody():
        assert rule.get("send_destination") == "org.wsserver1" and rule.get("send_member"), rule.attrib


def test_only_the_service_user_may_own_the_name_and_ping_apps():
    for policy in policies():
        rules = [rule.attrib for rule in policy]
        if policy.get("user") == "wsserverd":
            assert {"own": "org.wsserver1"} in rules
            assert any(rule.get("send_member") == "Ping" and not rule.get("send_destination") for rule in rules)
        else:
            assert not any("own" in rule for rule in rules)
