package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/spec"
)

// outcome derives from events how the replicas ended. It is safe for concurrent use.
type outcome struct {
	allReady func() // called once, when no initial replica is missing any more

	mu      sync.Mutex
	missing map[string]bool        // initial replicas that have not been ready, finished successfully or been removed
	failed  map[string]event.Event // the last events of replicas that failed and stay down
}

func newOutcome(replicas []spec.Replica, allReady func()) *outcome {
	o := &outcome{allReady: allReady, missing: make(map[string]bool), failed: make(map[string]event.Event)}
	for _, r := range replicas {
		o.missing[r.Name] = true
	}
	return o
}

func (o *outcome) note(e event.Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch e.Kind {
	case event.KindReady:
		o.found(e.Replica)
	case event.KindLaunched:
		delete(o.failed, e.Replica)
	case event.KindFinished:
		if e.Exit.Success() {
			o.found(e.Replica)
		} else {
			o.failed[e.Replica] = e
		}
	case event.KindFailed:
		o.failed[e.Replica] = e
	case event.KindRemoved:
		if e.Reason != event.ReasonEnd {
			delete(o.failed, e.Replica)
			o.found(e.Replica)
		}
	}
}

// found notes that a replica need not be waited for.
func (o *outcome) found(replica string) {
	if !o.missing[replica] {
		return
	}
	if delete(o.missing, replica); len(o.missing) == 0 {
		o.allReady()
	}
}

// err returns an error that names the replicas that failed, or nil if none did.
func (o *outcome) err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []string
	for _, name := range slices.Sorted(maps.Keys(o.failed)) {
		all = append(all, fmt.Sprintf("%s (%v)", name, o.failed[name].Exit))
	}
	switch len(all) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("replica %s has failed", all[0])
	}
	return fmt.Errorf("%d replicas have failed: %s", len(all), strings.Join(all, ", "))
}
