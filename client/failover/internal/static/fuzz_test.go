package static

import (
	"net"
	"slices"
	"strings"
	"testing"
)

func FuzzParse(f *testing.F) {
	for _, list := range []string{"", "127.0.0.1:7101,localhost:7102", "[::1]:07101,[fe80::1%25lo]:1", "a:1,a:1", ":1", "a b:1", "a:65536", "a:+1"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		addrs, err := Parse(list)
		if err != nil {
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("%q: more than one line", err)
			}
			return
		}
		for i, addr := range addrs {
			if host, port, err := net.SplitHostPort(addr); err != nil || host == "" || port == "0" || slices.Contains(addrs[:i], addr) {
				t.Errorf("%q has the address %q: %v", list, addr, err)
			}
		}
		if again, err := Parse(strings.Join(addrs, ",")); err != nil || !slices.Equal(again, addrs) {
			t.Errorf("%q becomes %q and then %q, %v", list, addrs, again, err)
		}
	})
}
