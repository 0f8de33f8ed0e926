package page_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"example.com/crashlab/client/browsertest"
)

var pictures = flag.String("pictures", "", "write screenshots of the page to this folder")

func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("writes screenshots for people to look at: want -pictures FOLDER")
	}
	for _, width := range []int64{1280, 390} {
		for _, theme := range []string{"light", "dark"} {
			s := newShow(t, width, theme)
			s.play(-1)
			s.untilText("[data-replica=d]", "ready")
			s.click("[data-step=trouble]")
			s.Until(`document.querySelector("#way").ariaBusy === "false"`)
			browsertest.Evaluate[bool](s.Tab, browsertest.Painted)
			png, err := chromedp.Run(s, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(*pictures, fmt.Sprintf("live-%d-%s.png", width, theme))
			if err := os.WriteFile(file, png, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}
