package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor/cmd/supervisor/clusterfile"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
)

// startControl has server serve until stop is called, which comes after its end. It
// does nothing where no control service is wanted.
func startControl(c clusterfile.Control, server *control.Server, log hclog.Logger) (stop func(), err error) {
	if c.Addr == "" {
		return func() {}, nil
	}
	credentials, err := c.TLS.Server()
	if err != nil {
		return nil, err
	}
	l, err := control.Listen(c.Addr, c.TLS.Enabled() || c.AllowRemote)
	switch {
	case errors.Is(err, control.ErrExposed): // a name, which leads elsewhere than it seems to
		return nil, inputfile.Place{Name: "--control"}.Errorf("%v", err)
	case err != nil:
		return nil, fmt.Errorf("--control: %w", err)
	}
	server.Credentials = credentials
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(ctx, l); err != nil {
			log.Error("the control service has ended", "error", err)
		}
	}()
	return func() {
		cancel()
		<-served
	}, nil
}
