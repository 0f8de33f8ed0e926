package transport_test

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"example.com/crashlab/supervisor/transport"
	"example.com/crashlab/supervisor/transport/issuer"
)

// A web server accepts only clients with a certificate of its authority.
func Example() {
	dir, err := os.MkdirTemp("", "certs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := issue(dir); err != nil {
		log.Fatal(err)
	}
	file := func(name string) transport.Path { return transport.Path(filepath.Join(dir, name)) }
	warn := func(err error) { log.Println("certificates cannot be renewed:", err) }

	config, err := transport.Server{Cert: file("server.crt"), Key: file("server.key"), ClientCA: file("ca.crt")}.Config(warn)
	if err != nil {
		log.Fatal(err)
	}
	l, err := transport.Listen("127.0.0.1:0", config != nil)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{TLSConfig: config, Handler: http.NotFoundHandler()}
	go server.ServeTLS(l, "", "")
	defer server.Close()

	dial, err := transport.Client{CA: file("ca.crt"), Cert: file("client.crt"), Key: file("client.key")}.Dialer(warn)
	if err != nil {
		log.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DialTLSContext: dial}}
	response, err := client.Get("https://" + l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	response.Body.Close()
	fmt.Println(response.Status)
	// Output: 404 Not Found
}

// issue writes an authority and the certificates of a server and a client to a directory.
func issue(dir string) error {
	authority, err := issuer.New(time.Hour)
	if err != nil {
		return err
	}
	if err := authority.Write(dir, "ca"); err != nil {
		return err
	}
	if err := authority.Issue(dir, "server", time.Hour, "127.0.0.1"); err != nil {
		return err
	}
	return authority.Issue(dir, "client", time.Hour, "client")
}
