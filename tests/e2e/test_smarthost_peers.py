"""Challenge mails through real mail servers, in the clear and with STARTTLS:
each is delivered once and counted as sent; what they refuse is understood."""
import pytest

import balancer
from harness import DOMAIN, Stack, free_port, wait_for
from mailservers import Exim, OpenSmtpd, starttls_works
from postfix import Postfix

RETRIES = "challenge { mail_retry_min = 1s, mail_retry_max = 2s }"


class PostfixPeer(Postfix):
    """Postfix as it is without further settings: with CHUNKING."""

    def __init__(self, onward_port, tls=False):
        settings = f"""
relayhost = [127.0.0.1]:{onward_port}
relay_domains_reject_code = 554
smtpd_recipient_restrictions = check_recipient_access inline:{{
  {{ nobody.example = 550 5.1.1 no such user }}
  {{ later.example = 450 4.3.0 try again later }}
  {{ denied.example = 554 5.7.1 Relay access denied }} }}
"""
        if tls:
            chain = balancer.certificate("rsa")[1]
            settings += f"""
smtpd_tls_security_level = may
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {chain}
"""
        super().__init__(settings.replace("\n  {", " {"),
                         "tlsmgr unix - - n 1000? 1 tlsmgr")


# Answers of theirs to RCPT: to a domain where nobody is, later, and denied.
PEERS = {"postfix": (PostfixPeer, ("nobody", "later", "denied")),
         "exim": (Exim, ("nobody", "later", "denied")),
         "opensmtpd": (OpenSmtpd, ("nobody",))}


def challenge(stack, sender):
    found = [one for one in stack.challenges() if one["sender"] == sender]
    return found[0] if found and found[0]["mail_reply"] else None


def is_dead(stack, sender):
    return "is marked as dead" in stack.cloud_cli("sender", "show",
                                                  sender).stdout


def check_refusals(stack, answers):
    senders = {one: f"person@{one}.example" for one in answers}
    for one, sender in senders.items():
        stack.send(sender, f"jean@{DOMAIN}")
        told = wait_for(lambda: challenge(stack, sender), 20, f"{sender} tried")
        if one == "nobody":
            assert told["state"] == "bounced", told
            assert told["end_reason"] == told["mail_reply"]
            assert is_dead(stack, sender) == ("5.1.1" in told["mail_reply"])
        else:
            assert told["state"] == "open", told
            assert told["mail"] == "pending", told
            assert told["mail_attempts"] == (0 if one == "denied" else 1)
            assert not is_dead(stack, sender)
    assert stack.metric("cloud", "turing_cloud_smarthost_refuses_us") == \
        ("denied" in answers)


def check_no_mail(stack, sender):
    """The smarthost's TLS does not work: nothing goes out in the clear."""
    told = wait_for(lambda: challenge(stack, sender), 20, "it is tried")
    assert (told["state"], told["mail"]) == ("open", "pending"), told
    assert not stack.delivered(sender)
    assert not is_dead(stack, sender)


@pytest.mark.parametrize("tls", (False, True), ids=("clear", "starttls"))
@pytest.mark.parametrize("name", PEERS)
def test_smarthost(name, tls):
    make, answers = PEERS[name]
    sandbox_port = free_port()
    with make(sandbox_port, tls) as peer:
        smarthost = f'address = "127.0.0.1:{peer.port}"'
        if tls:
            smarthost += (', starttls = required,'
                          ' ca_file = "' + balancer.certificate("rsa")[0] + '"')
        with Stack(smarthost=smarthost, cloud_settings=RETRIES,
                   sandbox_port=sandbox_port) as stack:
            sender = "stranger@people.example"
            stack.send(sender, f"jean@{DOMAIN}")
            if tls and not starttls_works(peer.port):
                check_no_mail(stack, sender)
                return
            stack.wait_delivered(sender)
            told = wait_for(lambda: challenge(stack, sender), 10, "counted")
            assert told["mail"] == "sent", told
            assert told["mail_attempts"] == 1
            status, _ = stack.solve(sender)
            assert status == 200
            stack.wait_delivered(f"jean@{DOMAIN}")
            if not tls:
                check_refusals(stack, answers)
            assert len(stack.delivered(sender)) == 1
