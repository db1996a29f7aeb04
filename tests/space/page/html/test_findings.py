"""space/page/html/findings.py: findings in words, in both languages."""

from space.evidence.files import Evidence
from space.evidence.findings import list_findings
from space.page.html.findings import lead, show_findings
from tests.evidence import set_scores
from tests.languages import visible_text


def test_the_lead_and_the_cards_say_what_the_intervals_show():
    more_invented = set_scores(metric="invented_numbers", base=0.1, tuned=0.5, low=0.3, high=0.5)
    assert visible_text(lead(list_findings([more_invented]))).endswith(
        "something got worse on learned titles: invented numbers."
    )
    both = [
        set_scores(low=0.1, high=0.3),
        set_scores("unseen", low=0.1, high=0.3),
        set_scores("summary", low=-0.1, high=0.3),
    ]
    assert visible_text(lead(list_findings(both))) == (
        "Fine-tuning made the answers better on learned titles and titles never seen. "
        "No difference is shown on summaries."
    )
    assert "em títulos aprendidos e títulos nunca vistos" in visible_text(
        lead(list_findings(both)), "pt"
    )
    shown = show_findings(Evidence(scores=(set_scores(low=-0.1, high=0.4),)))
    assert "the 95% interval, from −0.100 to +0.400, holds zero" in visible_text(
        shown
    ) and "−0,100 a +0,400" in visible_text(shown, "pt")


def test_right_answers_are_counted_and_come_first():
    right = set_scores("grounded", "right", 0.0, 0.76, low=0.7, high=0.8)
    for language, words in (
        ("en", "wholly right answers: base 0 of 50, tuned 38 of 50."),
        ("pt", "respostas inteiramente certas: base 0 de 50, ajustado 38 de 50."),
    ):
        shown = visible_text(show_findings(Evidence(scores=(right,))), language)
        assert words in shown.split(".", 1)[0] + "."
