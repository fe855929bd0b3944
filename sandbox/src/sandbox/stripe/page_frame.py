"""The look of the sandbox's own pages: one narrow card that says what it is."""

from html import escape
from string import Template

FRAME = Template("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>$title · sandbox checkout</title>
<style>
:root { color-scheme: light dark; --ink: #16202c; --soft: #5b6b7d; --paper: #fff; --ground: #eef1f5; --line: #dbe1e8;
  --deep: #0f5f58; --warn: #8a1f11; --warn-ground: #fdecea; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf2; --soft: #9fb0c1; --paper: #18212b; --ground: #0d131a;
  --line: #2b3845; --deep: #1c8278; --warn: #ffb4a8; --warn-ground: #3a1a16; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem; background: var(--ground);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 26rem; background: var(--paper); border: 1px solid var(--line); border-radius: 12px;
  overflow: hidden; }
.banner { margin: 0; padding: .6rem 1.5rem; background: #ffd75e; color: #3b2c00; font-weight: 600; font-size: .9rem; }
.content { padding: 1.5rem; }
h1 { margin: 0 0 1rem; font-size: 1.35rem; }
.items { list-style: none; margin: 0; padding: 0; }
.items li, .total { display: flex; justify-content: space-between; gap: 1rem; padding: .6rem 0;
  border-bottom: 1px solid var(--line); }
.total { margin: 0 0 1.25rem; font-size: 1.1rem; }
label, .email { display: block; margin: 0 0 1rem; color: var(--soft); font-size: .9rem; }
input { display: block; width: 100%; margin-top: .25rem; padding: .6rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: 8px; }
.button { display: block; width: 100%; margin: 0 0 .6rem; padding: .75rem; border: 1px solid var(--deep);
  border-radius: 8px; background: var(--deep); color: #fff; font: inherit; font-weight: 600; text-align: center;
  text-decoration: none; cursor: pointer; }
.button.quiet { background: transparent; color: inherit; border-color: var(--line); font-weight: 400; }
.notice { margin: 0 0 1rem; padding: .75rem; border-radius: 8px; background: var(--warn-ground); color: var(--warn); }
a { color: inherit; }
a:focus-visible, .button:focus-visible, input:focus-visible { outline: 3px solid #ffd75e; outline-offset: 2px; }
</style>
</head>
<body>
<main>
<p class="banner">Sandbox: this is not Stripe, and no real money moves.</p>
<div class="content">
<h1>$title</h1>
$content
</div>
</main>
</body>
</html>
""")


def framed(title: str, content: str) -> str:
    """`content` is HTML and must be escaped already."""
    return FRAME.substitute(title=escape(title), content=content)
