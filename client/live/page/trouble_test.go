package page_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"example.com/crashlab/client/browsertest"
	"example.com/crashlab/client/live"
)

// next waits for a command and returns it.
func (s *show) next() live.Command {
	s.T.Helper()
	select {
	case c := <-s.made.commands:
		return c
	case <-time.After(2 * time.Minute):
		s.T.Fatal("no command within 2 minutes")
		return live.Command{}
	}
}

// spell returns a command as JSON, to compare commands with pointers.
func spell(c live.Command) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // cannot happen: the values are texts and numbers
	}
	return string(text)
}

// An error in a value is shown beside its field, and any other error in a message.
func TestPageShowsErrors(t *testing.T) {
	t.Parallel()
	s := newShow(t, 390, "light")
	s.made.failNext(&live.FieldError{Field: "crash_probability", Err: errors.New("crash_probability 7: want 0 to 1")})
	s.enter("[data-field=crash_probability] input", "7")
	s.untilText("[data-field=crash_probability] .problem", "want 0 to 1")
	s.Until(`document.querySelector("[data-field=crash_probability] input").ariaInvalid === "true"`)
	s.enter("[data-field=crash_probability] input", "0.7")
	s.next()
	s.Until(`document.querySelector("[data-field=crash_probability] .problem").textContent === ""`)

	s.made.failNext(errors.New("replica b has no process: wait until it is launched"))
	s.click("[data-replica=b] [data-do=kill]")
	s.untilText("#messages", "wait until it is launched")
	s.click("#messages button")
	s.Until(`document.querySelector("#messages").children.length === 0`)
}

// The page reports a lost connection, reconnects by itself, and then shows the present state.
func TestPageReconnects(t *testing.T) {
	t.Parallel()
	s := newShow(t, 1280, "light")
	s.untilText("#connection", "live")
	s.line.cut(true)
	s.untilText("#messages", "does not answer")
	s.untilText("#connection", "lost")
	s.play(-1)
	s.line.cut(false)
	s.untilText("#connection", "live")
	s.untilText("[data-replica=d]", "ready")
	s.Until(`!document.querySelector("#messages").textContent.includes("does not answer")`)
}

// Without a valid token the page says what to do.
func TestPageWithoutToken(t *testing.T) {
	t.Parallel()
	for _, fragment := range []string{"", "#another"} {
		s := newShow(t, 390, "light")
		s.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(s.origin()+fragment))
		s.untilText("#messages", "Open the URL that crashlab live has printed")
	}
}

// The page reports that the control service is lost, until it is back.
func TestPageReportsLostCluster(t *testing.T) {
	t.Parallel()
	s := newShow(t, 390, "light")
	state := clone(s.made.State)
	state.Frame++
	state.Cluster.Connected, state.Cluster.Error = false, "127.0.0.1:7100 refuses: start it again"
	s.server.Publish(state)
	s.untilText("#messages", "127.0.0.1:7100 refuses: start it again")
	state = clone(state)
	state.Frame++
	state.Cluster = s.made.State.Cluster
	s.server.Publish(state)
	s.Until(`document.querySelector("#messages").children.length === 0`)
}

// The page follows the system's theme until the user chooses one, which lasts.
func TestThemes(t *testing.T) {
	t.Parallel()
	s := newShow(t, 1280, "dark")
	theme := func(want string) {
		t.Helper()
		s.Until(fmt.Sprintf(`document.documentElement.dataset.theme === %q`, want))
	}
	theme("dark")
	s.View(1280, "light")
	theme("light")
	s.click("#theme")
	theme("dark")
	s.Do(chromedp.Navigate("about:blank")) // so that Load opens a new document
	s.Load(s.url)
	theme("dark")
	s.MustBeQuiet(s.origin())
}

// At every width the page fits the screen, the keyboard reaches tooltips, controls have names, and
// all terms are explained.
func TestPageFitsAndExplains(t *testing.T) {
	t.Parallel()
	for _, width := range []int64{390, 1280} {
		s := newShow(t, width, "dark")
		s.play(-1)
		s.untilText("[data-replica=d]", "ready")
		if wide := browsertest.Evaluate[string](s.Tab, browsertest.TooWide(width)); wide != "" {
			t.Errorf("at %d px: %s", width, wide)
		}
		s.Do(chromedp.Focus("[data-term=p99]"))
		s.untilText("#tip", "99 took no longer")
		s.Until(`document.querySelector("[data-term=p99]").getAttribute("aria-describedby") === "tip"`)
		s.Do(chromedp.KeyEvent(kb.Escape))
		s.Until(`document.querySelector("#tip").hidden`)
		s.Do(chromedp.Focus("[data-field=crash_probability] input"))
		s.untilText("#tip", s.made.Guide.Faults[0].Doc)
		unnamed := browsertest.Evaluate[[]string](s.Tab, `[...document.querySelectorAll("button, input, select, canvas[tabindex]")]
			.filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim()))
			.map((e) => e.outerHTML)`)
		if len(unnamed) > 0 {
			t.Errorf("controls without a name: %q", unnamed)
		}
		s.untilText("#spoken", "Load A: success")
		for _, word := range []string{"ok", "refused", "lost", "failed", "timeout", "rejected", "canceled", "down", "starting", "ready", "hung", "unready"} {
			s.Until(fmt.Sprintf(`[...document.querySelectorAll("#terms dt")].some((e) => e.textContent === %q)`, word))
		}
		s.MustBeQuiet(s.origin())
	}
}
