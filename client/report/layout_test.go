package report

import (
	"bytes"
	"context"
	"fmt"
	"image/color"
	"image/png"
	"math"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/experiment"
)

// Printers and screenshots find the charts drawn when the page's load event fires.
func TestChartsAreDrawnAtLoad(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	b.View(1280, "light")
	const watch = `addEventListener("load", () => {
		const drawn = (canvas) => canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v > 0);
		window.atLoad = [...document.querySelectorAll(".plot")].map((plot) => {
			const canvas = plot.querySelector("canvas");
			return plot.id + (canvas && drawn(canvas) ? " drawn" : " missing");
		}).join(", ");
	})`
	b.Do(chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: watch})
		return err
	}))
	run := madeRun(everyday)
	load(b, run, summaryOf(run))
	if got := browsertest.Evaluate[string](b, "window.atLoad"); got != "lanes drawn, latency drawn, outcomes drawn, curve-plot drawn" {
		t.Errorf("at the load event: %s", got)
	}
}

// The slowest call is near the top of the chart, although the deadline is far above it.
func TestDeadlineDoesNotStretchTheLatencyAxis(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	b.View(1280, "light")
	run := madeRun(everyday)
	summary := summaryOf(run)
	load(b, run, summary)
	c := trialTableOf(run.Trials[shownFirst(summary)-1])
	least, most, slowest := math.Inf(1), 0.0, 0
	for i, call := range c.calls {
		latency := call.Latency().Seconds()
		least = min(least, latency)
		if latency > most {
			most, slowest = latency, i
		}
	}
	box := b.Box("#latency .u-over")
	x := box.X + box.Width*c.calls[slowest].Intended.Seconds()/c.end.Seconds()
	y := box.Y + box.Height*math.Log(1.7)/math.Log(most*1.7/(least/1.5))
	b.Do(chromedp.MouseClickXY(x, y))
	if way, want := b.Text("#way"), fmt.Sprintf("Call %d:", c.calls[slowest].Number); !strings.HasPrefix(way, want) {
		t.Errorf("a click near the top shows %.40q, want %s", way, want)
	}
}

// The chart of the policies is as wide as its card, on wide screens and on narrow ones.
func TestPoliciesFillTheirCard(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	run := madeRun(plan{rows: 3, levels: 1, repeats: 2, calls: 40, workers: 4})
	for width, theme := range map[int64]string{1280: "light", 390: "dark"} {
		b.View(width, theme)
		load(b, run, experiment.Summarize(run))
		const shares = `[...document.querySelectorAll("#policies .panels > .chart")].filter((e) => e.checkVisibility()).map((e) =>
			e.getBoundingClientRect().width / e.closest("figure").getBoundingClientRect().width)`
		if got := browsertest.Evaluate[[]float64](b, shares); len(got) != 1 || got[0] < 0.98 {
			t.Errorf("on a screen %d px wide, the charts take %v of their card, want one that takes all of it", width, got)
		}
	}
}

// On a phone, the first column stays in view, and a shadow at an edge shows that there is more.
func TestWideTablesOnAPhone(t *testing.T) {
	t.Parallel()
	b := browsertest.Open(t)
	b.View(390, "dark")
	run := madeRun(everyday)
	load(b, run, withPrediction(experiment.Summarize(run)))
	const lost = `(() => {
		const wide = [...document.querySelectorAll(".wide")].filter((e) => e.scrollWidth > e.clientWidth);
		for (const e of wide) e.scrollLeft = 1e6;
		const gone = wide.filter((e) => Math.abs(e.querySelector("td").getBoundingClientRect().left - e.getBoundingClientRect().left) > 1);
		for (const e of wide) e.scrollLeft = 0;
		return wide.length < 3 ? "fewer than three tables scroll" : gone.map((e) => e.closest("section").id).join(", ");
	})()`
	if got := browsertest.Evaluate[string](b, lost); got != "" {
		t.Errorf("the first column does not stay: %s", got)
	}
	const nameless = `[...document.querySelectorAll("#differences tbody tr")].filter((row) => row.cells[0].innerText.trim() === "").length`
	if n := browsertest.Evaluate[int](b, nameless); n > 0 {
		t.Errorf("%d rows of the differences do not name their cell", n)
	}
	edge := browsertest.Evaluate[[]float64](b, `(() => {
		const {right, top} = document.querySelector("#table .wide").getBoundingClientRect();
		return [right + scrollX - 1, top + scrollY + 3];
	})()`)
	at := func(scroll string) color.Color {
		browsertest.Evaluate[float64](b, `document.querySelector("#table .wide").scrollLeft = `+scroll)
		browsertest.Evaluate[bool](b, browsertest.Painted)
		shot, err := chromedp.Run(b, chromedp.FullScreenshot(100))
		if err != nil {
			t.Fatal(err)
		}
		picture, err := png.Decode(bytes.NewReader(shot))
		if err != nil {
			t.Fatal(err)
		}
		return picture.At(int(edge[0]), int(edge[1]))
	}
	surface := color.RGBAModel.Convert(at("1e6"))
	if beginning := color.RGBAModel.Convert(at("0")); beginning == surface {
		t.Errorf("the right edge is %v both where there is more to scroll to and at the end", surface)
	}
}
