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
		s.T.Fatal("no command has come")
		return live.Command{}
	}
}

// spell returns a command as JSON, in which what it points at can be compared.
func spell(c live.Command) string {
	text, err := json.Marshal(c)
	if err != nil {
		panic(err) // texts and numbers
	}
	return string(text)
}

// What is wrong with a value is said beside its field, and what else fails above the page; both say
// what to do.
func TestPageSaysWhatFails(t *testing.T) {
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

// A lost connection is said, and comes back by itself with all that happened since.
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

// Without the token the page says what to do.
func TestPageWithoutToken(t *testing.T) {
	t.Parallel()
	for _, fragment := range []string{"", "#another"} {
		s := newShow(t, 390, "light")
		s.Do(chromedp.Navigate("about:blank"), chromedp.Navigate(s.origin()+fragment))
		s.untilText("#messages", "Open the URL that crashlab live has printed")
	}
}

// A cluster that went away is said.
func TestPageSaysThatTheClusterIsGone(t *testing.T) {
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

// The theme is the system's until the button says another, which lasts.
func TestPageHasThemes(t *testing.T) {
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
	s.Do(chromedp.Navigate("about:blank")) // else it is the same document
	s.Load(s.url)
	theme("dark")
	s.MustBeQuiet(s.origin())
}

// Whatever the width and the theme, nothing is wider than the screen, and a tooltip is to be had by
// keyboard.
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
