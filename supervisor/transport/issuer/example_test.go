package issuer_test

import (
	"fmt"
	"log"
	"os"
	"time"

	"example.com/crashlab/supervisor/transport/issuer"
)

// A new authority signs a certificate for a server on this machine.
func Example() {
	dir, err := os.MkdirTemp("", "certs")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	authority, err := issuer.New(24 * time.Hour)
	if err != nil {
		log.Fatal(err)
	}
	if err := authority.Write(dir, "ca"); err != nil {
		log.Fatal(err)
	}
	if err := authority.Issue(dir, "server", time.Hour, "localhost", "127.0.0.1"); err != nil {
		log.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		log.Fatal(err)
	}
	for _, f := range files {
		fmt.Println(f.Name())
	}
	// Output:
	// ca.crt
	// ca.key
	// server.crt
	// server.key
}
