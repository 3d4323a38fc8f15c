"""A person with a browser: opens the link of the challenge mail, reads, types
the code, sees the success page. Each state leaves a screenshot."""
import os
import shutil
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from harness import BUILD, DOMAIN, Stack, sample, same_after_trace, wait_for

SHOTS = os.path.join(BUILD, "screenshots")
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}
JEAN = f"jean@{DOMAIN}"


@pytest.fixture(params=list(SIZES))
def browser(request):
    folder = tempfile.mkdtemp(prefix="turing-browser-")
    options = Options()
    for argument in ("--headless", "--no-sandbox", "--disable-gpu",
                     "--disable-quic", "--no-first-run", "--disable-sync",
                     "--disable-background-networking",
                     "--disable-component-update",
                     "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--user-data-dir={folder}"):
        options.add_argument(argument)
    if request.param == "phone":
        options.add_experimental_option("mobileEmulation", {
            "deviceMetrics": {"width": 390, "height": 844,
                              "pixelRatio": 2}})
    options.add_experimental_option(
        "prefs", {"profile.managed_default_content_settings.javascript": 2})
    # The tests' own certificate, where HAProxy stands before the clouds.
    options.accept_insecure_certs = True
    options.binary_location = "/usr/bin/chromium"
    driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"),
                              options=options)
    driver.set_window_size(*SIZES[request.param])
    driver.size_name = request.param
    yield driver
    driver.quit()
    shutil.rmtree(folder, ignore_errors=True)


def shoot(browser, state):
    os.makedirs(SHOTS, exist_ok=True)
    path = os.path.join(SHOTS, f"{state}-{browser.size_name}.png")
    assert browser.save_screenshot(path)
    assert os.path.getsize(path) > 5000
    wide = browser.execute_script(
        "return document.documentElement.scrollWidth > window.innerWidth")
    assert not wide, "nothing is wider than the window"


def answer(browser, text):
    field = browser.find_element(By.NAME, "answer")
    field.clear()
    field.send_keys(text)
    field.submit()


def test_person_solves(browser):
    sender = f"claire.{browser.size_name}@stranger.example"
    mail = sample(sender, JEAN, "=?utf-8?q?D=C3=A9jeuner_jeudi_=3F?=")
    with Stack() as stack:
        assert stack.send(sender, JEAN, mail)[0] == 250
        link = stack.challenge_link(sender)
        browser.get(link + "?lang=fr")
        assert browser.find_element(By.TAG_NAME, "html") \
            .get_attribute("lang") == "fr"
        shoot(browser, "open-fr")
        browser.get(link + "?lang=en")
        page = browser.find_element(By.TAG_NAME, "body").text
        assert "Déjeuner jeudi ?" in page and JEAN in page
        image = browser.find_element(By.CSS_SELECTOR, "img[src*='image.png']")
        assert image.get_property("naturalWidth") > 100
        shoot(browser, "open")
        answer(browser, "nonsense")
        shoot(browser, "wrong")
        assert stack.delivered(JEAN) == []
        answer(browser, stack.code_of(sender))
        shoot(browser, "solved")
        assert not browser.find_elements(By.NAME, "answer")
        assert same_after_trace(stack.wait_delivered(JEAN)[0], mail)
        browser.get(link)
        shoot(browser, "solved-before")
        assert not browser.find_elements(By.NAME, "answer")
        browser.get(link[:-3] + "xyz")
        shoot(browser, "unknown")
        errors = [line for line in browser.get_log("browser")
                  if "Content Security" in line["message"]]
        assert not errors, errors


def test_expired_and_locked(browser):
    sender = f"late.{browser.size_name}@stranger.example"
    settings = "challenge { expires = 6s, max_attempts = 1 }"
    with Stack(cloud_settings=settings) as stack:
        stack.send(sender, JEAN)
        link = stack.challenge_link(sender)
        browser.get(link)
        answer(browser, "nonsense")
        shoot(browser, "locked")
        assert not browser.find_elements(By.NAME, "answer")
        wait_for(lambda: stack.get(link)[0] == 410, 20, "expired")
        browser.get(link)
        shoot(browser, "expired")
        assert not browser.find_elements(By.NAME, "answer")
