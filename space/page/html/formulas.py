"""Tell how each picture of the tab How it works is computed."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from space.texts import Html, html


@dataclass(frozen=True)
class Formula:
    """A formula, code that computes it with transformers, and (paper, address) pairs."""

    formula: str
    code: str
    papers: tuple[tuple[str, str], ...]


ARXIV = "https://arxiv.org/abs/"
# The code gets `model`, `tokenizer` and `text`; a test runs it against the page's own numbers.
FORMULAS = {
    "tokens": Formula(
        "tokens per word = tokens / words",
        """ids = tokenizer(text, add_special_tokens=False)["input_ids"]
pieces = [tokenizer.decode([token]) for token in ids]
words = text.split()
per_word = len(ids) / len(words)
share_of_window = len(ids) / model.config.max_position_embeddings""",
        (
            (
                "Sennrich, Haddow, Birch: Neural Machine Translation of Rare Words with Subword "
                "Units, 2016",
                f"{ARXIV}1508.07909",
            ),
        ),
    ),
    "guesses": Formula(
        "loss(t) = −ln p(token t | the tokens before it);  perplexity = e^(mean loss)",
        """ids = tokenizer(text, return_tensors="pt")["input_ids"]
with torch.no_grad():
    logits = model(ids).logits[0].float()
logprobs = logits.log_softmax(-1)
loss = -logprobs[:-1].gather(1, ids[0, 1:, None])[:, 0]  # of each token after the first
perplexity = loss.mean().exp().item()
best = logprobs[-1].exp().topk(5)
guesses = [
    (tokenizer.decode([token]), chance)
    for token, chance in zip(best.indices.tolist(), best.values.tolist())
]""",
        (
            (
                "Bengio et al.: A Neural Probabilistic Language Model, 2003",
                "https://www.jmlr.org/papers/v3/bengio03a.html",
            ),
            ("Brown et al.: Language Models are Few-Shot Learners, 2020", f"{ARXIV}2005.14165"),
        ),
    ),
    "near": Formula(
        "cos(a, b) = a·b / (|a| |b|);  for records: a and b are mean hidden states less the mean "
        "of all records",
        """table = model.get_input_embeddings().weight.float()
ids = tokenizer(text, add_special_tokens=False)["input_ids"]
word = table[ids].mean(0)
cosines = torch.nn.functional.cosine_similarity(table, word[None], dim=-1)
cosines[ids] = -2  # not the word itself
nearest = [tokenizer.decode([token]) for token in cosines.topk(6).indices.tolist()]
start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
with torch.no_grad():
    out = model(torch.tensor([[start, *ids]]), output_hidden_states=True)
vector = out.hidden_states[-1][0, 1:].float().mean(0)  # of the text; the same for each record""",
        (
            (
                "Mikolov et al.: Efficient Estimation of Word Representations in Vector Space, "
                "2013",
                f"{ARXIV}1301.3781",
            ),
            ("Reimers, Gurevych: Sentence-BERT, 2019", f"{ARXIV}1908.10084"),
        ),
    ),
    "attention": Formula(
        "attention = softmax(q kᵀ / √d), where no token sees a later one; d is the size of a head",
        """# The model is loaded with attn_implementation="eager", or it returns no weights.
ids = tokenizer(text, return_tensors="pt")["input_ids"]
with torch.no_grad():
    out = model(ids, output_attentions=True)
weights = torch.cat(out.attentions)  # (layers, heads, tokens, tokens)
previous = weights.diagonal(-1, 2, 3)[..., 1:].mean(-1)  # from the third token on
first = weights[:, :, 2:, 0].mean(-1)
best = int(previous.argmax())
layer, head = divmod(best, previous.shape[1])""",
        (
            ("Vaswani et al.: Attention Is All You Need, 2017", f"{ARXIV}1706.03762"),
            ("Clark et al.: What Does BERT Look At?, 2019", f"{ARXIV}1906.04341"),
            (
                "Olsson et al.: In-context Learning and Induction Heads, 2022",
                f"{ARXIV}2209.11895",
            ),
        ),
    ),
    "tuning": Formula(
        "W' = W + s·(α/r)·B A;  change of a layer = |(α/r)·B A| / |W|;  s is the slider",
        """from peft import PeftModel

tuned = PeftModel.from_pretrained(model, adapter)
changes = {}
for name, layer in tuned.named_modules():
    if hasattr(layer, "lora_A"):
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        change = layer.scaling["default"] * b.float() @ a.float()
        changes[name] = (change.norm() / layer.base_layer.weight.float().norm()).item()
        layer.scaling["default"] *= 0.5  # the slider at 50 %""",
        (
            ("Hu et al.: LoRA, 2021", f"{ARXIV}2106.09685"),
            ("Dettmers et al.: QLoRA, 2023", f"{ARXIV}2305.14314"),
        ),
    ),
    "transfer": Formula(
        "W(n) = W + (α/r)·B(n) A(n) after n steps; n = 0 is the base",
        """from peft import PeftModel, set_peft_model_state_dict
from safetensors.torch import load_file

tuned = PeftModel.from_pretrained(model, adapter)
snapshot = load_file(f"{adapter}/snapshots/step-{step}.safetensors")
set_peft_model_state_dict(tuned, snapshot)
ids = tokenizer(text, return_tensors="pt")["input_ids"]
answer = tuned.generate(input_ids=ids, max_new_tokens=32, do_sample=False)
words = tokenizer.decode(answer[0, ids.shape[1]:], skip_special_tokens=True)""",
        (
            (
                "Yosinski et al.: How transferable are features in deep neural networks?, 2014",
                f"{ARXIV}1411.1792",
            ),
            (
                "Howard, Ruder: Universal Language Model Fine-tuning for Text Classification, 2018",
                f"{ARXIV}1801.06146",
            ),
        ),
    ),
}


def render_formula(chapter: str) -> Html:
    """Render a chapter's formula, code and papers, folded."""
    found = FORMULAS[chapter]
    papers = "".join(
        f'<li><a href="{address}" rel="noopener">{escape(paper)}</a></li>'
        for paper, address in found.papers
    )
    return Html(
        f'<details class="computed"><summary>{html("how_computed")}</summary>'
        f'<p class="formula" lang="en">{escape(found.formula)}</p>'
        f'<pre tabindex="0"><code class="python">{escape(found.code)}</code></pre>'
        f'<p class="hint">{html("how_papers")}</p><ul>{papers}</ul></details>'
    )
