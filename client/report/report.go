// Package report presents runs: as one HTML file that needs no network, as tables, and as pictures.
// Its output depends only on the files of a run.
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

// scripts are those of this page alone, in the order in which they run.
var scripts = []string{"data.js", "dots.js", "chart.js", "lanes.js", "series.js", "page.js"}

var templates = template.Must(template.New("").Funcs(funcs).ParseFS(assets, "assets/*.tmpl", "assets/charts/*.tmpl"))

// HTML writes the report as one HTML file. It opens without a network.
func HTML(w io.Writer, run *record.Run, summary experiment.Summary) error {
	return templates.ExecuteTemplate(w, "page.tmpl", pageOf(run, summary))
}

type pageView struct {
	Title    string
	Answer   experiment.Answer
	Source   string // of the design
	Verdict  verdictView
	Outcomes []outcomeView

	Predicted        bool // nothing was measured
	Prediction       *predictionView
	Sweep            fragment
	Policies         [2]fragment // for narrow and for wide screens
	Table, Contrasts table

	Trials    []trialGroup
	Columns   []columnsView
	HasCurve  bool
	NoSuccess []string // titles of the cells without one
	Data      pageData

	Style, Script, PlotStyle, PlotScript any
}

// predictionView compares the measured results with the predicted ones.
type predictionView struct {
	Sentence string
	Chart    fragment
	Table    table
}

// outcomeView is an entry of the key to the colors and shapes of attempts.
type outcomeView struct{ Name, Meaning string }

// trialGroup lists the trials of one cell.
type trialGroup struct {
	Title  string
	Trials []trialChoice
	Chosen bool // one of them is chosen
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

// pageData is the part of the scripts' data that does not belong to a trial.
type pageData struct {
	Outcomes []string `json:"outcomes"`
	Curve    *curve   `json:"curve"`
}

func pageOf(run *record.Run, summary experiment.Summary) pageView {
	v := pageView{
		Title:    run.Manifest.Name,
		Answer:   summary.Answer,
		Verdict:  verdictOf(run, summary),
		Outcomes: outcomeViews(),
		Sweep:    sweepChart(summary).fragment(panelWidth),
		Policies: [2]fragment{policiesChart(summary).fragment(panelWidth), widePoliciesChart(summary).fragment(cardWidth)},
		Table:    newTable(summary), Contrasts: differencesTable(summary.Differences),
		Trials: trialGroups(run, summary),
	}
	if v.Predicted = summary.Predicted; v.Predicted {
		v.Title += " (predicted)"
	}
	if agreements := summary.Agreements(); summary.Prediction != nil {
		v.Prediction = &predictionView{agreementSentence(agreements), agreementChart(agreements).fragment(panelWidth), agreementsTable(agreements)}
	}
	if d := run.Manifest.Design; d != nil {
		v.Source = d.Source
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
