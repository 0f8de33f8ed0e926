package parse_test

import (
	"fmt"

	"example.com/crashlab/supervisor/parse"
)

// The caller adds where the text came from.
func ExampleHostPort() {
	for _, text := range []string{"localhost:8080", "localhost"} {
		addr, err := parse.HostPort(text, 1)
		if err != nil {
			fmt.Println("--addr", err)
			continue
		}
		fmt.Println(addr)
	}
	// Output:
	// localhost:8080
	// --addr "localhost": want HOST:PORT, with a port of 1 to 65535
}
