"""Texts that try to be more than text. `LEAK` stands for an address that no page may ever ask for."""

from __future__ import annotations

from typing import Any

LEAK = "http://127.0.0.1:1/leak"
SCRIPT = "document.documentElement.setAttribute('owned','1')"
HOSTILE = [
    f"<script>{SCRIPT}</script>",
    f"</script><script>{SCRIPT}</script>",
    f"</style><script>{SCRIPT}</script>",
    f"</title><script>{SCRIPT}</script>",
    f"</textarea><svg onload={SCRIPT}>",
    f"--><script>{SCRIPT}</script><!--",
    f"]]><script>{SCRIPT}</script><![CDATA[",
    f"<svg/onload={SCRIPT}>",
    f'"><svg onload="{SCRIPT}">',
    f"'><img src=x onerror={SCRIPT}>",
    f'" onmouseover="{SCRIPT}" x="',
    f"' autofocus onfocus={SCRIPT} '",
    f"` onclick={SCRIPT} `",
    f"javascript:{SCRIPT}",
    f"java\tscript:{SCRIPT}",
    f'<a href="javascript:{SCRIPT}">x</a>',
    f"<img src={LEAK}>",
    f'<link rel=stylesheet href="{LEAK}">',
    f'<style>@import "{LEAK}";</style>',
    f'<iframe srcdoc="<script>{SCRIPT}</script>">',
    f'<meta http-equiv=refresh content="0;url={LEAK}">',
    f'<base href="{LEAK}">',
    f"<form action={LEAK}><button>go</button>",
    f"<object data={LEAK}><embed src={LEAK}>",
    f"<math><mtext></p><svg><title><a id='</title><img src={LEAK}>'>",
    "<marquee><blink><h1>big</h1>",
    "</div></details></section></main></body></html>after",
    "<plaintext>",
    "<!-- never closed",
    "<![CDATA[ never closed",
    "&lt;b&gt; &amp; &#x202e; &NotEqualTilde; &amp",
    "\u202e}cilam\u2066 if\u2069 \u2066begin",
    "\u202d\u202a\u202b\u202c\u2067\u2068\u2069\u200e\u200f\u061c",
    "in\u200bvi\u200csi\u200dble\u2060\ufeff\u00ad\u180e\u3164",
    "\x00nul\x00<b\x00>",
    "\r\nfirst\rsecond\n\n\tthird\x0b\x0c\x1c\x85\u2028\u2029",
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;" + LEAK + "\x1b\\link\x9b2J",
    "\ud800lone\udfff\udbff\udc00",
    "[red]rich[/red] [link=" + LEAK + "]markup[/link] [bold]",
    "{{ 7*7 }} ${7*7} {report} %s %(name)s {0}",
    "\ufffe\uffff\U0010ffff\U000e0041\U000e007f",
    "Z\u0351\u036e\u0346a\u0328\u034f\u0317l\u0340g\u0300o " + "\u0301" * 30,
    "\n\nleading and trailing spaces  \n ",
    r"\u202e written by its author",
]


def _renamed(value: Any, text: str, *, keys: bool) -> Any:
    if isinstance(value, str):
        return text
    if isinstance(value, list):
        return [_renamed(item, text, keys=False) for item in value]
    if isinstance(value, dict):
        return {
            f"{text}{place}" if keys else key: _renamed(item, text, keys=key in OPEN) for place, (key, item) in enumerate(value.items())
        }
    return value


OPEN = {"quarantined", "splits", "positive_rate", "scorer", "published"}
"""Dictionaries whose keys come from the run and not from this program."""


def with_every_text(report: dict[str, Any], text: str) -> dict[str, Any]:
    """The report with `text` in place of every text, and in every key that comes from the run."""
    return _renamed(report, text, keys=False)
