package web_test

import (
	"context"
	"fmt"
	"log"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/live/page"
	"example.com/crashlab/client/live/session"
	"example.com/crashlab/client/live/web"
)

// Serve a live session of the cluster of "make run-cluster".
func Example() {
	ctx := context.Background()
	server := &web.Server{Token: web.NewToken(), Page: page.Handler()}
	s := session.New(session.Config{
		Cluster: &cluster.Target{Control: []string{"127.0.0.1:7100"}},
		OnState: server.Publish,
	})
	server.Session = s
	l, err := web.Listen("127.0.0.1:7180", false)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("open", server.URL(l))
	go s.Run(ctx)
	if err := server.Serve(ctx, l); err != nil {
		log.Fatal(err)
	}
}
