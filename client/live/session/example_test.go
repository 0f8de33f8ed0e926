package session_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/live/session"
)

// Watch the cluster of "make run-cluster" under load for ten seconds, and kill one of its replicas.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s := session.New(session.Config{
		Cluster: &cluster.Target{Control: []string{"127.0.0.1:7100"}},
		OnState: func(s live.State) { fmt.Println(len(s.Replicas), "replicas,", len(s.Crashes.Items), "crashes") },
	})
	time.AfterFunc(5*time.Second, func() {
		if _, err := s.Do(ctx, live.Command{Do: live.ActionKill, Replicas: []string{"b"}}); err != nil {
			log.Print(err)
		}
	})
	s.Run(ctx)
}
