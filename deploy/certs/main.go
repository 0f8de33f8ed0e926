// Certs makes certificates for trying out TLS: those of a certificate authority, a server and a
// client.
//
// If the authority exists, it signs new certificates. With -new-ca a new authority signs them, and
// both authorities are trusted, so that running processes are not disturbed.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"example.com/crashlab/supervisor/transport/issuer"
)

// hosts are the names and addresses used in deploy: the local machine, and the services of Compose
// and Kubernetes.
const hosts = "localhost,127.0.0.1,::1,counter,supervisor,counter.crashlab,*.counter.crashlab," +
	"counter.crashlab.svc,*.counter.crashlab.svc,counter.crashlab.svc.cluster.local,*.counter.crashlab.svc.cluster.local"

func main() {
	dir := flag.String("o", "certs", "folder for ca, server and client, each with a .crt and a .key file")
	names := flag.String("hosts", hosts, "names and addresses in the server's certificate")
	valid := flag.Duration("valid", 90*24*time.Hour, "validity of the server's and the client's certificate")
	newCA := flag.Bool("new-ca", false, "create a new authority, and keep trusting the previous one")
	flag.Parse()
	err := fmt.Errorf("unexpected argument %q", flag.Arg(0))
	if flag.NArg() == 0 {
		err = run(*dir, strings.Split(*names, ","), *valid, *newCA)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "certs:", err)
		os.Exit(1)
	}
}

func run(dir string, hosts []string, valid time.Duration, newCA bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	ca, err := issuer.Load(dir, "ca")
	switch {
	case err == nil && !newCA:
	case err == nil || errors.Is(err, fs.ErrNotExist):
		var before []*issuer.Authority
		if err == nil {
			before = append(before, ca)
		}
		if ca, err = issuer.New(10 * 365 * 24 * time.Hour); err != nil {
			return err
		}
		if err := ca.Write(dir, "ca", before...); err != nil {
			return err
		}
	default:
		return err
	}
	if err := ca.Issue(dir, "server", valid, hosts...); err != nil {
		return err
	}
	return ca.Issue(dir, "client", valid, "crashlab")
}
