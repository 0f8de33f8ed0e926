package report

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
)

// chromium starts the browser that all tests share; each has tabs of its own.
var chromium = sync.OnceValues(func() (context.Context, error) {
	var path string
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "headless_shell"} {
		if path, _ = exec.LookPath(name); path != "" {
			break
		}
	}
	if path == "" {
		return nil, errors.New("no Chromium: want chromium, chromium-browser, google-chrome or headless_shell in PATH")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path))
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses root with its sandbox
	}
	ctx, _ := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, _ = chromedp.NewContext(ctx)
	endChromium = func() { _ = chromedp.Cancel(ctx) }
	if err := chromedp.Do(ctx); err != nil {
		return nil, fmt.Errorf("no Chromium: %s does not start: %w", path, err)
	}
	return ctx, nil
})

// endChromium ends the browser, if it was started.
var endChromium = func() {}

func TestMain(m *testing.M) {
	code := m.Run()
	endChromium()
	os.Exit(code)
}

// browser is a tab that notes what must not happen.
type browser struct {
	context.Context
	t testing.TB

	mu       sync.Mutex
	requests []string // all that were made
	problems []string // errors, and what was written to the console
}

// openBrowser opens a tab that is closed at the end of the test. Without a browser the test is skipped.
func openBrowser(t testing.TB) *browser {
	t.Helper()
	root, err := chromium()
	if err != nil {
		t.Skip(err)
	}
	b := &browser{t: t}
	ctx, end := chromedp.NewContext(root, chromedp.WithListener(b.note))
	t.Cleanup(end)
	b.Context = ctx
	return b
}

func (b *browser) note(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		b.requests = append(b.requests, e.Request.URL)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, (&chromedp.ExceptionError{ExceptionDetails: e.ExceptionDetails}).Error())
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console: %s", e.Type))
	case *log.EventEntryAdded:
		b.problems = append(b.problems, e.Entry.Text)
	}
}

func (b *browser) do(steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b, steps...); err != nil {
		b.t.Fatal(err)
	}
}

// evaluate returns the value of an expression in the page.
func evaluate[T any](b *browser, expression string) T {
	b.t.Helper()
	v, err := chromedp.Run(b, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// view sets the width of the screen and the theme that the system prefers.
func (b *browser) view(width int64, theme string) {
	b.t.Helper()
	b.do(chromedp.EmulateViewport(width, 900), chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		feature := &emulation.MediaFeature{Name: "prefers-color-scheme", Value: theme}
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{feature}})
		return err
	}))
}

// load opens the run's report from a file and returns its address.
func (b *browser) load(run *record.Run, summary experiment.Summary) string {
	b.t.Helper()
	b.mu.Lock()
	b.requests = nil
	b.mu.Unlock()
	path := filepath.Join(b.t.TempDir(), "report.html")
	f, err := os.Create(path)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := HTML(f, run, summary); err != nil {
		b.t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.t.Fatal(err)
	}
	b.do(chromedp.Navigate("file://" + path))
	evaluate[bool](b, `new Promise((done) => {
		const look = () => "ready" in document.documentElement.dataset ? done(true) : requestAnimationFrame(look);
		look();
	})`)
	return "file://" + path
}

// painted waits until what was changed has been painted.
const painted = `new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(true))))`

// mustBeQuiet fails the test when the page has met an error, or has made a request for anything but itself.
func (b *browser) mustBeQuiet(address string) {
	b.t.Helper()
	evaluate[bool](b, painted)
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("the page: %s", p)
	}
	for _, r := range b.requests {
		if r != address && !strings.HasPrefix(r, "data:") {
			b.t.Errorf("the page asked for %s", r)
		}
	}
	if len(b.requests) == 0 {
		b.t.Error("no request was seen, not even that for the page: the test sees nothing")
	}
	b.problems = nil
}
