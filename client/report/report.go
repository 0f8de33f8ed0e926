// Package report shows a run: as one HTML file that needs no network, and as tables. It is a pure
// function of the run's files.
package report

import (
	"embed"
	"html/template"
	"io"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/look"
)

//go:embed assets
var assets embed.FS

// scripts are the page's own, in the order in which they are run.
var scripts = []string{"data.js", "dots.js", "chart.js", "lanes.js", "series.js", "page.js"}

var templates = template.Must(template.ParseFS(assets, "assets/*.tmpl", "assets/charts/*.tmpl"))

// HTML writes the report as one HTML file. It opens without a network.
func HTML(w io.Writer, run *record.Run, summary experiment.Summary) error {
	return templates.ExecuteTemplate(w, "page.tmpl", pageOf(run, summary))
}

type pageView struct {
	Title    string
	Question string
	Source   string // of the design
	Verdict  verdictView
	Outcomes []outcomeView

	Predicted        bool // all of it
	Prediction       *predictionView
	Sweep, Policies  fragment
	Table, Contrasts table
	HasRows          bool

	Trials    []trialGroup
	Columns   []columnsView
	HasCurve  bool
	NoSuccess []string // titles of the cells without one
	Data      pageData

	Style, Script, PlotStyle, PlotScript any
}

// predictionView is how what was measured agrees with what was predicted.
type predictionView struct {
	Sentence string
	Chart    fragment
	Table    table
}

// outcomeView is an entry of the key to the attempts' colours and shapes.
type outcomeView struct{ Name, Meaning string }

// trialGroup is the trials of one cell, as the page offers them.
type trialGroup struct {
	Title  string
	Trials []trialChoice
	Chosen bool // one of them is
}

type trialChoice struct {
	Number int
	Label  string
	Chosen bool
}

type columnsView struct {
	Number int
	JSON   template.JS
}

// pageData is what the page's scripts know of the run before a trial is chosen.
type pageData struct {
	Outcomes []string `json:"outcomes"`
	Curve    *curve   `json:"curve"`
}

func pageOf(run *record.Run, summary experiment.Summary) pageView {
	v := pageView{
		Title:    run.Manifest.Name,
		Verdict:  verdictOf(run, summary),
		Outcomes: outcomeViews(),
		Sweep:    sweepChart(summary).fragment(),
		Policies: policiesChart(summary).fragment(),
		Table:    newTable(summary), Contrasts: contrastsTable(summary), HasRows: len(summary.Cells) > 0 && summary.Cells[0].Cell.Row != "",
		Trials: trialGroups(run, summary),
	}
	if v.Predicted = summary.Predicted; v.Predicted {
		v.Title += " (predicted)"
	}
	if agreements := summary.Agreements(); summary.Prediction != nil {
		v.Prediction = &predictionView{agreementSentence(agreements), agreementChart(agreements).fragment(), agreementsTable(agreements)}
	}
	if d := run.Manifest.Design; d != nil {
		v.Question, v.Source = d.Question, d.Source
	}
	v.Style, v.Script = pageStyle(), template.JS(pageScript())
	v.PlotStyle, v.PlotScript = template.CSS(look.PlotStyle()), template.JS(look.PlotScript())
	for _, o := range failover.Outcomes() {
		v.Data.Outcomes = append(v.Data.Outcomes, o.String())
	}
	v.Data.Curve, v.NoSuccess = curveOf(run, summary)
	v.HasCurve = v.Data.Curve != nil
	shown := summaries(summary)
	for _, t := range run.Trials {
		v.Columns = append(v.Columns, columnsView{t.Number, template.JS(trialJSON(t, settingsOf(summary, t.Cell), shown[t.Number]))})
	}
	return v
}

func pageScript() string {
	var own []string
	for _, name := range scripts {
		own = append(own, asset(name))
	}
	return look.Script(own...)
}

func outcomeViews() []outcomeView {
	meanings := map[failover.Outcome]string{
		failover.OutcomeOK: "answered", failover.OutcomeRefused: "never sent", failover.OutcomeLost: "sent, then the connection broke",
		failover.OutcomeFailed: "a status that is retried", failover.OutcomeTimeout: "the attempt's deadline passed",
		failover.OutcomeRejected: "a status that is not retried", failover.OutcomeCanceled: "given up by the caller",
	}
	var views []outcomeView
	for _, o := range failover.Outcomes() {
		views = append(views, outcomeView{o.String(), meanings[o]})
	}
	return views
}
