package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/live/page"
	"example.com/crashlab/client/live/session"
	"example.com/crashlab/client/live/web"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/transport"
	"example.com/crashlab/supervisor/version"
)

type liveCmd struct {
	Cluster string   `group:"Cluster" placeholder:"FILE" help:"Start the cluster of this file, such as deploy/cluster.yaml, and stop it at the end. Its log_dir, events, metrics_addr and state_dir are not used."`
	Control []string `group:"Cluster" placeholder:"ADDR" help:"Attach to a running cluster, through the control services of its supervisors. (default: 127.0.0.1:7100)"`
	Group   string   `group:"Cluster" placeholder:"NAME" help:"Group of the replicas, if the supervisors have several."`
	Target  target   `group:"Cluster" placeholder:"TARGET" help:"Target of the load, if it differs from the addresses that the supervisors give. Without --control, the page has no commands to replicas."`

	Concurrency count  `group:"Load" short:"c" placeholder:"N" help:"Callers; each makes its next call when its last has ended. (default: 5)"`
	Rate        rate   `group:"Load" placeholder:"N" help:"Calls started a second, instead of -c."`
	Policy      preset `group:"Load" default:"original" placeholder:"original|recommended" help:"Initial policy of the load. (default: original)"`

	Listen    string           `group:"Page" default:"127.0.0.1:7180" placeholder:"ADDR" help:"Address of the page; port 0 for any that is free. Beyond loopback, --page-tls-cert and --token-file are required. (default: 127.0.0.1:7180)"`
	Page      transport.Server `group:"Page" embed:"" prefix:"page-"`
	TokenFile string           `group:"Page" placeholder:"FILE" help:"File with the token that requests must have: at least 16 letters, digits, -, ., _ or ~. (default: a random token)"`
	Runs      string           `group:"Page" default:"runs" placeholder:"FOLDER" help:"Where to create the folders of recordings. (default: runs)"`

	transport.Client `group:"TLS"`
}

// Help shows examples, and explains the status line.
func (liveCmd) Help() string {
	return `Examples:

    # start a cluster, open the printed address in a browser
    crashlab live --cluster deploy/cluster.yaml
    # attach to the cluster of "make run-cluster"
    crashlab live -c 10 --policy recommended

On a terminal a line shows the replicas and the loads. Each replica is a sign:

    ` + statusLegend
}

// tokenForm matches a token that a browser does not escape in a URL.
var tokenForm = regexp.MustCompile(`^[A-Za-z0-9._~-]{16,}$`)

// Run serves the page until Ctrl-C, which ends the load and the cluster that Run has started.
func (l *liveCmd) Run(ctx context.Context, out output) error {
	server, settings, err := l.server(out)
	if err != nil {
		return err
	}
	creds, err := secure(l.Client, out)
	if err != nil {
		return err
	}
	ctx, running := begin(ctx)
	defer running.end(out)
	config := session.Config{
		Target: string(l.Target), Credentials: creds, Loads: []live.Settings{settings}, Runs: l.Runs,
		Version: version.Of("crashlab"), Command: os.Args,
	}
	if l.Cluster != "" {
		own, err := l.startCluster(stale(out))
		if err != nil {
			return err
		}
		defer own.stop()
		config.Own, config.Cluster = true, &cluster.Target{Control: []string{own.addr}, Group: l.Group}
	} else if config.Cluster, err = l.attach(ctx, config); err != nil {
		return err
	}
	return l.serve(ctx, out, server, config)
}

// server returns the server of the page, and the initial settings of the load.
func (l *liveCmd) server(out output) (*web.Server, live.Settings, error) {
	s := &web.Server{Page: page.Handler(), Token: web.NewToken()}
	settings, err := l.settings()
	if err != nil {
		return nil, settings, &exit{exitUsage, err.Error()}
	}
	if l.Cluster != "" && len(l.Control) > 0 {
		return nil, settings, &exit{exitUsage, "--control: not with --cluster, which starts a cluster of its own: want one of the two"}
	}
	if l.Target != "" {
		conn, err := failover.NewClient(string(l.Target), settings.Policy, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			return nil, settings, &exit{exitUsage, "--target " + strings.TrimPrefix(err.Error(), "failover: target ")}
		}
		conn.Close()
	}
	s.TLS, err = l.Page.Config(stale(out))
	if err != nil {
		return nil, settings, &exit{exitUsage, pageFlag(err)}
	}
	if l.TokenFile == "" {
		return s, settings, nil
	}
	text, err := inputfile.ReadOnce(l.TokenFile, 4096)
	if err != nil {
		return nil, settings, &exit{exitUsage, "--token-file: " + err.Error()}
	}
	if s.Token = strings.TrimSpace(string(text)); !tokenForm.MatchString(s.Token) {
		return nil, settings, &exit{exitUsage, fmt.Sprintf("--token-file %s: want at least 16 letters, digits, -, ., _ or ~", l.TokenFile)}
	}
	return s, settings, nil
}

// pageFlag returns the text of an error of package transport with the names of the flags here.
func pageFlag(err error) string { return strings.ReplaceAll(err.Error(), "--tls-", "--page-tls-") }

func (l *liveCmd) settings() (live.Settings, error) {
	set := map[string]string{}
	if l.Concurrency > 0 {
		set["concurrency"] = fmt.Sprint(l.Concurrency)
	}
	if l.Rate > 0 {
		set["rate"] = fmt.Sprint(float64(l.Rate))
	}
	s, err := live.DefaultSettings().With(string(l.Policy), set)
	if err != nil {
		return s, fmt.Errorf("--%w", err)
	}
	return s, nil
}

// attach returns the running cluster, once its supervisors have answered; nil if only the replicas
// are known.
func (l *liveCmd) attach(ctx context.Context, config session.Config) (*cluster.Target, error) {
	if len(l.Control) == 0 && l.Target != "" {
		return nil, nil
	}
	t := &cluster.Target{Control: l.Control, Group: l.Group}
	if len(t.Control) == 0 {
		t.Control = []string{control.DefaultAddr}
	}
	c, err := cluster.Connect(ctx, *t, config.Credentials)
	if err != nil {
		return nil, fmt.Errorf("%w: want a running supervisor, as after make run-cluster, or --cluster deploy/cluster.yaml, which starts one", err)
	}
	return t, c.Close()
}

// serve runs the session and its page until ctx ends.
func (l *liveCmd) serve(ctx context.Context, out output, server *web.Server, config session.Config) error {
	listener, err := web.Listen(l.Listen, server.TLS != nil && l.TokenFile != "")
	if errors.Is(err, web.ErrExposed) {
		return &exit{exitUsage, fmt.Sprintf("--listen %q: other machines can reach it: want an address on loopback, or --page-tls-cert, --page-tls-key and --token-file", l.Listen)}
	}
	if err != nil {
		return &exit{exitFailed, "--listen " + err.Error()}
	}
	line := newStatusLine(out, server.Tabs)
	config.OnState = func(s live.State) {
		server.Publish(s)
		line.show(s)
	}
	s := session.New(config)
	server.Session = s
	what := "Ctrl-C ends the load, not the cluster."
	if config.Own {
		what = "Ctrl-C stops the load and the cluster."
	}
	fmt.Fprintf(out.stdout, "Open %s\n%s\n", server.URL(listener), what)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- server.Serve(ctx, listener)
	}()
	s.Run(ctx)
	line.clear()
	if err := <-served; err != nil {
		return fmt.Errorf("the server of the page has failed: %w", err)
	}
	return nil
}
