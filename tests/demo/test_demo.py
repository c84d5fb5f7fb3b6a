# SPDX-License-Identifier: Apache-2.0
"""The demo as a person has it: the page in Chromium as one phone, Python websockets as another, the television between them."""

import asyncio
import json
import pathlib
import re
import shutil

import pytest
import websockets
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from session import page

STEP = 60  # seconds that any one step may take on a busy machine
LIMITS = (pathlib.Path(__file__).resolve().parents[2] / "client-lib" / "examples" / "limits.h").read_text()
FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --window-size=360,780""".split()


def limit(name):
    return int(re.search(rf"#define {name} (\d+)u?", LIMITS)[1])


class Phone:
    """The page in a browser."""

    def __init__(self, driver):
        self.driver = driver

    def open(self, url):
        self.driver.get(url)

    def text(self, name):
        return self.driver.find_element(By.ID, name).text

    def wait_for(self, name, text):
        WebDriverWait(self.driver, STEP).until(
            lambda _: text in self.text(name), f"no {text!r} in #{name} but {self.text(name)!r}"
        )

    def press(self, key):
        self.driver.find_element(By.CSS_SELECTOR, f"[data-key={key}]").click()

    def chat(self, line):
        self.driver.find_element(By.ID, "line").send_keys(line, Keys.ENTER)


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in [*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"]:
        options.add_argument(flag)
    running = webdriver.Chrome(service=webdriver.chrome.service.Service(shutil.which("chromedriver")), options=options)
    yield running
    running.quit()


@pytest.fixture
def phone(driver):
    yield Phone(driver)
    driver.get("about:blank")


@pytest.fixture
def tv(start_app, demo_page):
    return start_app("second-screen", "--ip", "127.0.0.1", "--origin", demo_page.origin("127.0.0.1"))


@pytest.fixture
def connected(phone, tv, demo_page):
    phone.open(demo_page.url("127.0.0.1", tv.url))
    phone.wait_for("state", "Connected")
    phone.wait_for("shown", "Music is selected, volume 20.")
    return phone


def test_keys_move_what_the_tv_shows(connected):
    connected.press("up")
    connected.wait_for("shown", "Films is selected")
    connected.press("left")
    connected.wait_for("shown", "News is selected")
    connected.press("ok")
    connected.wait_for("shown", "News is open")
    connected.press("back")
    connected.wait_for("shown", "News is selected")
    connected.press("volume-up")
    connected.wait_for("shown", "volume 25")
    connected.press("mute")
    connected.wait_for("shown", "sound is off")
    connected.press("volume-down")
    connected.wait_for("shown", "volume 20")
    current = connected.driver.find_elements(By.CSS_SELECTOR, "#tiles [aria-current=true]")
    assert [tile.text for tile in current] == ["News"]


def test_the_keyboard_is_a_remote_control_too(connected):
    connected.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.ARROW_RIGHT)
    connected.wait_for("shown", "Photos is selected")


def test_a_chat_line_comes_back_as_it_was_typed(connected):
    connected.chat("Hallo <b>Fernseher</b> äöü")
    connected.wait_for("log", "You: Hallo <b>Fernseher</b> äöü")
    assert connected.driver.find_element(By.ID, "line").get_attribute("value") == ""


def test_two_phones_see_what_each_other_does(connected, tv):
    async def other_phone():
        async with websockets.connect(tv.url, open_timeout=STEP) as other:

            async def expect(**wanted):
                while True:
                    message = json.loads(await asyncio.wait_for(other.recv(), STEP))
                    if all(message.get(key) == value for key, value in wanted.items()):
                        return

            await expect(type="welcome", name="phone 2")
            await expect(type="phones", count=2)
            await asyncio.to_thread(connected.wait_for, "log", "2 phones are here.")
            await other.send('{"type":"chat","text":"from the sofa"}')
            await asyncio.to_thread(connected.wait_for, "log", "phone 2: from the sofa")
            await other.send('{"type":"key","key":"down"}')
            await asyncio.to_thread(connected.wait_for, "shown", "Weather is selected")
            await asyncio.to_thread(connected.press, "up")
            await expect(type="state", selected="Music")

    asyncio.run(other_phone())
    connected.wait_for("log", "Yours is the only phone here.")


def test_the_page_reconnects_when_the_tv_comes_back(connected, tv, start_app):
    port = tv.url.rstrip("/").rpartition(":")[2]
    tv.stop()
    connected.wait_for("log", "The TV has left.")
    assert not connected.driver.find_element(By.CSS_SELECTOR, "[data-key=up]").is_enabled()
    start_app("second-screen", "--ip", "127.0.0.1", "--port", port)
    connected.wait_for("state", "Connected")
    connected.press("down")
    connected.wait_for("shown", "Weather is selected")


def test_a_page_of_somebody_else_cannot_control_the_tv(phone, tv, demo_page):
    connect = """const done = arguments[1], socket = new WebSocket(arguments[0]);
                 socket.onopen = () => done('open'); socket.onclose = (event) => done('closed ' + event.code);"""
    foreign = page.Page("127.0.0.1")  # the same page, of another origin
    try:
        phone.open(foreign.url("127.0.0.1", tv.url).partition("?")[0])
        assert phone.driver.execute_async_script(connect, tv.url) == "closed 1006"
    finally:
        foreign.stop()
    phone.open(demo_page.url("127.0.0.1", tv.url).partition("?")[0])
    assert phone.driver.execute_async_script(connect, tv.url) == "open"


def test_the_address_can_be_typed(phone, tv, demo_page):
    phone.open(demo_page.url("127.0.0.1", "").partition("?")[0])
    phone.wait_for("state", "Not connected")
    phone.driver.find_element(By.ID, "address").send_keys("http//nonsense", Keys.ENTER)
    phone.wait_for("log", "is not a WebSocket address")
    field = phone.driver.find_element(By.ID, "address")
    field.clear()
    field.send_keys(tv.url, Keys.ENTER)
    phone.wait_for("state", "Connected")


def test_nothing_is_cut_off_on_a_narrow_phone(connected):
    small = {"width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": True}
    connected.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", small)
    widths = connected.driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    connected.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert widths[0] <= widths[1] == 320


def test_every_control_has_a_name_for_a_screen_reader(connected):
    named = []
    for control in connected.driver.find_elements(By.CSS_SELECTOR, "button, input"):
        if control.is_displayed():
            assert control.accessible_name, control.get_attribute("outerHTML")
            named.append(control.accessible_name)
    assert len(named) == 11 and "Volume up" in named


def ask(url, *messages):
    """What the TV says to a new phone that sends these, up to the answer to a last harmless key."""

    async def visit():
        answers = []
        async with websockets.connect(url, open_timeout=STEP) as phone:
            for message in [*messages, '{"type":"key","key":"mute"}']:
                await phone.send(message)
            while not answers or not answers[-1].get("muted"):
                answers.append(json.loads(await asyncio.wait_for(phone.recv(), STEP)))
        return answers

    return asyncio.run(visit())


@pytest.mark.parametrize(
    "message",
    ["", "{", "[]", "null", "1", '"key"', "{}", '{"type":1}', '{"type":"key"}', '{"type":"key","key":[]}', b"\x00\xff",
     '{"type":"key","key":"eject"}', '{"type":"chat"}', '{"type":"chat","text":7}', '{"type":"chat","text":"a"} {}',
     "[" * 100, '{"type":"\x00"}'],
)  # fmt: skip
def test_nonsense_from_one_phone_is_answered_and_changes_nothing(tv, message):
    answers = ask(tv.url, message)
    assert [answer["type"] for answer in answers].count("error") == 1
    assert answers[-1]["selected"] == "Music"


def test_a_chat_line_is_cut_at_its_bound_between_characters(tv):
    [chat] = [answer for answer in ask(tv.url, json.dumps({"type": "chat", "text": "ä" * 600})) if answer["type"] == "chat"]
    assert chat["text"] == "ä" * limit("SCREEN_CHAT_MAX")


def test_a_phone_cannot_steer_the_terminal_of_whoever_runs_the_tv(tv):
    ask(tv.url, json.dumps({"type": "chat", "text": "wide \u009b2J escape \x1b[2J bell \x07 äöü"}))
    tv.stop()
    assert "phone 1 says: wide �2J escape �[2J bell � äöü" in tv.said


def test_volume_stays_within_its_bounds(tv):
    louder = ['{"type":"key","key":"volume-up"}'] * 30
    volumes = [answer["volume"] for answer in ask(tv.url, *louder) if answer["type"] == "state"]
    assert volumes[-1] == limit("SCREEN_VOLUME_MAX") and volumes[1] - volumes[0] == limit("SCREEN_VOLUME_STEP")


def test_a_message_above_the_bound_ends_that_phone_alone(tv):
    async def visit():
        async with websockets.connect(tv.url, open_timeout=STEP) as phone:
            await phone.send("x" * (limit("SCREEN_MESSAGE_MAX") + 1))
            with pytest.raises(websockets.ConnectionClosed):
                while True:
                    await asyncio.wait_for(phone.recv(), STEP)
            return phone.close_code

    assert asyncio.run(visit()) == 1009
    assert ask(tv.url)[0]["type"] == "welcome"
