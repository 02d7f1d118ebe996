"""MkDocs hooks: files of the repository as pages, pages generated from code, equations without JavaScript."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import reference
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from interplay.envs.kernels import switched_off

ROOT = Path(__file__).resolve().parents[2]
SHARED = ("CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "examples/*.py", "examples/clients/*.py",
          "examples/notebooks/*.ipynb", "experiments/results/**/*.md", "experiments/results/**/*.png",
          "experiments/results/make.sh")
"""Files outside docs/ that pages link; the site holds them at the same paths."""
_SHIM = "https://unpkg.com/iframe-worker/shim"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Render fences called ``math`` as MathML, which browsers draw themselves."""
    fence = {"name": "math", "class": "math", "format": _equation}
    config.mdx_configs.setdefault("pymdownx.superfences", {})["custom_fences"] = [fence]
    return config


def _equation(source: str, *_: Any, **__: Any) -> str:
    known = source.replace("{aligned}", "{align*}")  # GitHub knows the one, latex2mathml the other
    return f'<div class="equation">{convert(known, display="block")}</div>'


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the repository's own files and the generated pages."""
    for pattern in SHARED:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(path)))
    with switched_off():  # to compile kernels would take longer than to do without
        for name, write in reference.PAGES.items():
            files.append(File.generated(config, f"reference/{name}.md", content=write()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Translate what GitHub shows into what the site needs: links out of docs/, and marks of fences for the tests."""
    if page.file.generated_by is None:
        depth = page.file.src_uri.count("/")
        markdown = markdown.replace(f"]({'../' * (depth + 1)}", f"]({'../' * depth}")
    else:
        markdown = re.sub(r"\]\(((?:\.\./)*)docs/", r"](\1", markdown)
    markdown = re.sub(r"^(```+\w+) \{[^}\n]*\}$", r"\1", markdown, flags=re.MULTILINE)
    return re.sub(r"^```.*?^```|`[^`\n]+`|\$([^$\n]+)\$", _symbol, markdown, flags=re.MULTILINE | re.DOTALL)


def _symbol(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else f"<span>{convert(found[1])}</span>"  # a paragraph may start with it


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Replace the theme's request to another host, without which the search of files is switched off."""
    return output.replace(_SHIM, "../" * page.url.count("/") + "javascripts/offline-search.js")


def on_post_template(output_content: str, **_: Any) -> str:
    """Remove that request from pages that are no page of ours."""
    return output_content.replace(f'<script src="{_SHIM}"></script>', "")
