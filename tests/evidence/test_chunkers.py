"""Chunkers: what each makes of a text, and what it says when it cannot."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaizen_components import denial
from kaizen_components.evidence import chunkers, chunks
from kaizen_components.evidence.chunkers import recursive
from kaizen_components.evidence.extract import Block, joined, placed

PYTHON = '''"""A module."""

import os

# What a session is.
@decorated
class Session:
    """A session."""

    def start(self):
        return 1

    # It ends.
    def end(self):
        return 2


def after():
    return 3
'''


def cut(text: str, name: str = "recursive", *, kind: str = "Text", origin: str = "a.py") -> list[chunks.Cut]:
    return chunks.cut(placed([Block(kind, text)]), chunkers.opened(name), origin=origin)


def exact(text: str, cuts: list[chunks.Cut]) -> None:
    """Every piece is the text's, in order; between two pieces stands nothing but white space."""
    at = 0
    for piece in cuts:
        assert piece.text == text[piece.start : piece.end] == piece.text.strip() != ""
        assert text[at : piece.start].strip() == ""
        assert len(piece.text.split()) <= 1000 and len(piece.text) <= chunks.LENGTH
        at = piece.end
    assert text[at:].strip() == ""


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["SectionHeader", "Text", "Code", "Table", "ListItem"]),
        st.one_of(
            st.text(alphabet=st.characters(blacklist_categories=("Cs",)), max_size=300),
            st.text(alphabet="ab .\n\t!?#e\u0301👩\u200d🇩🇪", max_size=2500),
            st.integers(0, 3000).map("x".__mul__),
        ),
        st.sampled_from(["", "\n", "\n\n", " \t\n"]),
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("name", ["recursive", "token", "sentence"])
def test_any_text_is_cut_exactly(name):
    made = chunkers.opened(name)

    @settings(max_examples=60, deadline=None)
    @given(PIECES)
    def holds(pieces):
        blocks = placed([Block(kind, text, tail) for kind, text, tail in pieces])
        text = joined((block.text, block.tail) for block in blocks)
        if not text.strip():
            with pytest.raises(denial.NoBlocks):
                chunks.cut(blocks, made)
            return
        found = chunks.cut(blocks, made)
        exact(text, found)
        assert found == chunks.cut(blocks, made)
        if name == "recursive":
            assert all(piece.end - piece.start <= recursive.LONGEST for piece in found)
            assert all(piece.tokens == len(piece.text) // 4 for piece in found)

    holds()


def test_a_piece_ends_at_a_paragraph_past_the_middle():
    paragraphs = [Block("Text", "Users log in. " * 40, "\n\n") for _ in range(6)]
    found = chunks.cut(placed(paragraphs), chunkers.opened("recursive"))
    assert [piece.start for piece in found] == [0, 562, 1124, 1686, 2248, 2810]


def test_a_piece_ends_at_a_sentence_then_at_a_word_then_anywhere():
    assert cut("A session lasts. " * 100)[0].text.endswith("lasts.")
    assert cut("session " * 300)[0].text.endswith("session")
    assert len(cut("x" * 3000)[0].text) == 1024


def test_a_heading_goes_with_what_follows_it():
    blocks = [Block("Text", "Users log in. " * 65, "\n\n"), Block("SectionHeader", "# Sessions", "\n\n")]
    blocks.append(Block("Text", "They expire. " * 30))
    found = chunks.cut(placed(blocks), chunkers.opened("recursive"))
    assert [piece.text[:10] for piece in found] == ["Users log ", "# Sessions"]
    assert [piece.context for piece in found] == [None, "Sessions"]


def test_the_context_is_the_path_of_headings():
    blocks = [
        Block("SectionHeader", "## Login", "\n\n", heading="Guide"),
        Block("Text", "Users log in. " * 100, "\n\n", heading="Guide > Login", page=3),
    ]
    found = chunks.cut(placed(blocks), chunkers.opened("recursive"))
    assert {piece.context for piece in found} == {"Guide > Login"}
    assert [piece.page for piece in found] == [None, 3]
    long = chunks.cut(placed([Block("SectionHeader", "word " * 200), Block("Text", "x")]), chunkers.opened("recursive"))
    assert len(long[0].context.split()) == 60


def test_code_is_cut_at_its_lines():
    line = "    total = total.add(row. value)\n"
    found = cut(line * 100, kind="Code")
    assert all(piece.text.endswith("value)") and piece.text.startswith("total") for piece in found)


def test_a_letter_keeps_its_marks():
    for letter in ("e\u0301", "👩\u200d👧", "👍🏽", "🇩🇪"):
        for offset in range(4):
            for piece in cut("x" * offset + letter * 900):
                assert piece.text.endswith(letter) and not piece.text.startswith(letter[1:])


class Counted(str):
    """A text that counts how much of it is looked at."""

    seen = 0

    def __getitem__(self, key):
        found = str.__getitem__(self, key)
        Counted.seen += len(found)
        return found


def test_twice_the_text_is_twice_the_work():
    def work(size: int) -> int:
        Counted.seen = 0
        text = Counted("x" * (size // 2) + "\n" * (size // 4) + "word " * (size // 20))
        source = chunkers.Source(text, [Block("Text", text)])
        assert len(list(chunkers.opened("recursive").spans(source))) > size // 2000
        return Counted.seen

    assert work(400_000) < 2.1 * work(200_000)
    # A text without a space is looked at a few times, not once for every piece of it.
    assert work(400_000) < 8 * 400_000


@pytest.mark.parametrize("text", ["\n" * 100_000 + "a", "x" * 100_000, "e\u0301" * 50_000, "a b\n" * 30_000])
@pytest.mark.parametrize("name", ["recursive", "token", "sentence"])
def test_odd_texts_are_cut_all_the_same(name, text):
    exact(text, cut(text, name))


def test_tokens_are_counted():
    found = cut("one two, three. " * 200, "token")
    assert found[0].tokens == 256 and sum(piece.tokens for piece in found) >= 1000


def test_sentences_stay_whole():
    assert all(piece.text.endswith("session.") for piece in cut("A user has a session. " * 300, "sentence"))


def test_python_is_cut_where_its_definitions_begin(monkeypatch):
    from kaizen_components.evidence.chunkers import code

    monkeypatch.setattr(code, "LONGEST", 120)
    found = cut(PYTHON, "code")
    exact(PYTHON, found)
    starts = [piece.text.splitlines()[0] for piece in found]
    assert starts == ['"""A module."""', "# What a session is.", "# It ends."]
    assert found[-1].text.endswith("return 3")


def test_python_with_other_line_ends_is_cut_at_the_same_places(monkeypatch):
    from kaizen_components.evidence.chunkers import code

    monkeypatch.setattr(code, "LONGEST", 120)
    for ends in ("\r\n", "\r"):
        text = PYTHON.replace("\n", ends)
        exact(text, cut(text, "code"))
        assert "# It ends." in [piece.text.splitlines()[0] for piece in cut(text, "code")]


def refused(name: str, text: str = "x", origin: str = "a.py") -> denial.Denial:
    with pytest.raises(denial.Denial) as caught:
        cut(text, name, origin=origin)
    return caught.value


def test_code_that_is_none_is_refused():
    assert refused("code", "def (").code == "DENIED_DOCUMENT_UNREADABLE"


def test_code_of_an_unknown_language_is_refused():
    refusal = refused("code", origin="notes.zzz")
    assert refusal.code == "DENIED_CHUNKER_UNSUPPORTED" and "py" in refusal.detail["allowed"]


def test_a_grammar_that_is_not_here_is_not_downloaded(without):
    without("tree_sitter_kotlin")
    refusal = refused("code", "fun main() {}", origin="a.kt")
    assert refusal.code == "DENIED_BACKEND_UNAVAILABLE"
    assert "pip install tree-sitter-kotlin" in refusal.required_action


@pytest.mark.parametrize(
    ("ending", "body"),
    {
        "js": "function a%d(x) {\n  return x + 1;\n}\n\n",
        "ts": "export function a%d(x: number): number {\n  return x;\n}\n",
        "tsx": "export const A%d = () => <div>login</div>;\n",
        "go": "func a%d(x int) int {\n\treturn x\n}\n",
        "rs": "fn a%d(x: i32) -> i32 {\n    x\n}\n",
        "java": "class A%d { int a() { return 1; } }\n",
        "c": "int a%d(int x) {\n  return x;\n}\n",
        "cpp": "class A%d { public: int a() { return 1; } };\n",
        "sh": "a%d() {\n  echo login\n}\n",
    }.items(),
)
def test_code_of_many_languages_ends_where_something_ends(ending, body):
    text = "".join(body % number for number in range(120))
    pieces = cut(text, "code", origin=f"a.{ending}")
    exact(text, pieces)
    first = body.split("%d")[0].split()[0]
    assert len(pieces) > 1 and all(piece.text.split()[0].startswith(first.split("(")[0]) for piece in pieces)


@pytest.mark.parametrize("name", ["token", "sentence"])
def test_without_its_package_a_chunker_says_how_to_get_it(name, without):
    without("chonkie")
    refusal = refused(name)
    assert refusal.code == "DENIED_BACKEND_UNAVAILABLE" and refusal.detail["package"] == "chonkie"
    assert "python -m pip install -r requirements-evidence.txt" in refusal.required_action


def test_recursive_and_python_need_no_package(without):
    without("chonkie", "tree_sitter", "numpy")
    assert cut("Users log in.") and cut(PYTHON, "code")


def test_a_chunker_that_changes_the_text_is_refused():
    from types import SimpleNamespace

    from kaizen_components.evidence.chunkers import library

    with pytest.raises(denial.BackendMalformed):
        list(library.located("one two", [SimpleNamespace(text="ONE", token_count=1)]))


def test_a_chunker_that_fails_is_refused():
    from kaizen_components.evidence.chunkers import library

    with pytest.raises(denial.BackendMalformed) as caught:
        library.guarded(lambda: [][0])
    assert "IndexError" in caught.value.detail["reason"]


def test_semantic_needs_an_embedding_backend():
    assert refused("semantic").code == "DENIED_BACKEND_UNCONFIGURED"


def test_semantic_cuts_where_the_subject_changes(embedding):
    subjects = ["cache layer keeps entry", "login form asks password", "garden grows green tomato"]
    text = "".join(f"The {subject} number {n} here. " for subject in subjects for n in range(12))
    found = cut(text, "semantic")
    exact(text, found)
    assert len(found) > 1
    assert any(piece.text.startswith("The login form") for piece in found)


def test_semantic_cuts_blank_and_short_texts(embedding):
    for text in ("One.", "\n\n \n\nOne.\n \n", "a\n \n" * 30):
        exact(text, cut(text, "semantic"))


def test_neural_needs_a_model_of_this_machine(monkeypatch, tmp_path):
    refusal = refused("neural")
    assert refusal.code == "DENIED_BACKEND_UNCONFIGURED"
    assert refusal.detail["variables"] == ["KAIZEN_NEURAL_CHUNK_MODEL"]
    monkeypatch.setenv("KAIZEN_NEURAL_CHUNK_MODEL", str(tmp_path))
    assert refused("neural").code == "DENIED_BACKEND_MODEL"


@pytest.mark.slow
def test_a_model_that_is_not_whole_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("KAIZEN_NEURAL_CHUNK_MODEL", str(tmp_path))
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    assert refused("neural").code == "DENIED_BACKEND_MODEL"


@pytest.mark.slow
def test_a_model_of_this_machine_cuts(monkeypatch, tmp_path):
    transformers = pytest.importorskip("transformers")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "users", "log", "in", "."]
    (tmp_path / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"), model_max_length=64).save_pretrained(tmp_path)
    small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    shape = transformers.BertConfig(vocab_size=len(words), max_position_embeddings=64, num_labels=2, **small)
    transformers.BertForTokenClassification(shape).save_pretrained(tmp_path)
    monkeypatch.setenv("KAIZEN_NEURAL_CHUNK_MODEL", str(tmp_path))
    text = "Users log in. " * 60
    exact(text, cut(text, "neural"))


def test_an_unknown_chunker_is_refused_with_those_that_are():
    refusal = refused("magic")
    assert refusal.code == "DENIED_CHUNKER_UNSUPPORTED"
    assert refusal.detail["allowed"] == ["recursive", "token", "sentence", "code", "semantic", "neural"]
