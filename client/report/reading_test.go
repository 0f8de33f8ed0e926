package report

import (
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/stats"
)

// Columns and footnotes that need an explanation link to one in the page.
func TestExplanations(t *testing.T) {
	equal := stats.Sample{Kind: stats.KindShare, Runs: []stats.Run{{Count: 5, Of: 5}, {Count: 5, Of: 5}}}.Interval().Warnings[0]
	text := html(t, madeRun(everyday))
	for _, what := range []string{equal, "design effect", "sent per call", "trials"} {
		anchor := explanation(what)
		if anchor == "" || !strings.Contains(text, `<dt id="`+anchor+`">`) {
			t.Errorf("the page does not explain %q at %q", what, anchor)
		}
	}
	if !strings.Contains(text, `<a href="#design-effect">design<br/>effect</a>`) {
		t.Error("the design effect does not link to its explanation")
	}
	if note := rendered(t, "explained", equal); note != `<a href="#equal-trials">`+equal+`</a>` {
		t.Errorf("a footnote is %s", note)
	}
}

// The question and its answer are apart from the claims, so that a claim that held does not look
// like a yes.
func TestHTMLAnswersItsQuestion(t *testing.T) {
	run := madeRun(everyday)
	page := func(a experiment.Answer) (question, claims string) {
		summary := summaryOf(run)
		summary.Answer = a
		var b strings.Builder
		if err := HTML(&b, run, summary); err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(b.String(), `<section id="question">`)
		question, rest, _ = strings.Cut(rest, `<section id="verdict">`)
		claims, _, _ = strings.Cut(rest, "</section>")
		return question, claims
	}
	question, claims := page(experiment.Answer{Question: "Is it enough?", Text: "No, it takes more."})
	if !strings.Contains(question, "Is it enough?") || !strings.Contains(question, "No, it takes more.") || strings.Contains(question, "data-word") {
		t.Errorf("the question: %s", question)
	}
	if strings.Contains(claims, "enough?") || strings.Contains(strings.ToLower(claims), "hypothes") || !strings.Contains(claims, "<h2>Claims</h2>") {
		t.Errorf("the claims: %s", claims)
	}
	if question, _ = page(experiment.Answer{Question: "Is it?", Unsupported: "The trials do not support it."}); !strings.Contains(question, "<b>No answer</b> The trials do not support it.") {
		t.Errorf("an answer that the trials do not support: %s", question)
	}
	if question, _ = page(experiment.Answer{}); question != "" {
		t.Errorf("a design without a question: %s", question)
	}
}
