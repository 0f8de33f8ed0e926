//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"testing"

	"example.com/crashlab/supervisor/compare/record"
)

// The tests run the floor as a process, which is the test binary.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "floor" {
		fmt.Fprintln(os.Stderr, run(context.Background(), os.Args[1:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func TestRecordsPairUp(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 3 s of real processes")
	}
	l, err := openLab(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	const size, rounds = 3, 6
	all, err := l.rotate(t.Context(), []peer{floor(), ours(kindFull, features{probes: true, admin: true})}, size, rounds, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := record.NewReader(l.records)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	records, err := reader.Read()
	if err != nil {
		t.Fatal(err)
	}
	// Each child has listened, exited, and listened again as another process.
	listening, exits := make(map[string]record.Record), make(map[int]bool)
	for _, r := range records {
		before, launched := listening[r.Child]
		switch {
		case r.Kind == record.Listening && launched && !exits[before.PID]:
			t.Errorf("%s listens as process %d, while %d has not exited", r.Child, r.PID, before.PID)
		case r.Kind == record.Exit && r.PID != before.PID:
			t.Errorf("%s exits as process %d, having listened as %d", r.Child, r.PID, before.PID)
		}
		if r.Kind == record.Listening {
			listening[r.Child] = r
		} else {
			exits[r.PID] = true
		}
	}
	if len(listening) != 2*size || len(exits) != 2*rounds || len(records) != 2*size+4*rounds {
		t.Errorf("%d children, %d exits in %d records: want %d, %d, %d",
			len(listening), len(exits), len(records), 2*size, 2*rounds, 2*size+4*rounds)
	}
	for _, c := range all {
		for round := range rounds {
			if r, ok := c.trials[round]; !ok || !exits[r.PID] || !(r.Exit < r.Started && r.Started < r.Listens) {
				t.Errorf("%s, round %d: %+v: want an exit, then a start, then a listener", c.name, round, r)
			}
		}
	}
}

func TestRemoveLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: 2 s to build a child and run it")
	}
	l, err := openLab(t.Context(), "none") // none of our programs runs here, so none is built
	if err != nil {
		t.Fatal(err)
	}
	seen, err := l.children()
	if err != nil {
		t.Fatal(err)
	}
	defer seen.reader.Close()
	team := crew{lab: l, name: "floor", count: 2, basePort: l.ports(2)}
	if _, err := floor().start(team); err != nil {
		t.Fatal(err)
	}
	if err := seen.await(t.Context(), patience, func() bool { return seen.up(team) == 2 }); err != nil {
		t.Fatal(err)
	}
	l.close()
	if strays := l.strays(); len(strays) > 0 {
		t.Errorf("processes %v are left", strays)
	}
	if _, err := os.Stat(l.dir); !os.IsNotExist(err) {
		t.Errorf("%s is left: %v", l.dir, err)
	}
}
