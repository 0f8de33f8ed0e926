package supervisor

import (
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strings"
	"testing"
)

func TestLimitsCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits Limits
		want   string // a part of the error; empty: none
	}{
		{"none", Limits{}, ""},
		{"nice", Limits{Nice: 19}, ""},
		{"too nice", Limits{Nice: 20}, "nice 20: want -20 to 19"},
		{"rlimit", Limits{Rlimits: map[string]Rlimit{"nofile": {64, 128}, "core": {0, Unlimited}}}, ""},
		{"unknown rlimit", Limits{Rlimits: map[string]Rlimit{"files": {}}}, `rlimit "files": want one of as, core, cpu, `},
		{"soft above hard", Limits{Rlimits: map[string]Rlimit{"as": {2, 1}}}, "rlimit as: soft 2: want at most hard, 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && (tt.limits.Nice != 0 || tt.limits.Rlimits != nil) {
				t.Skip("Linux alone can set these")
			}
			err := tt.limits.Check()
			if (err == nil) != (tt.want == "") || !strings.Contains(fmt.Sprint(err), tt.want) && err != nil {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("to run as another user takes root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	for _, tt := range []struct {
		user string
		nice int // is set another way
		want string
	}{
		{"nobody", 0, "a " + nobody.Uid + " " + nobody.Gid},
		{nobody.Uid, 0, "a " + nobody.Uid + " " + nobody.Gid},
		{"54321", 0, "a 54321 54321"},
		{"54321", 1, "a 54321 54321"},
	} {
		t.Run(fmt.Sprint(tt.user, " ", tt.nice), func(t *testing.T) {
			if tt.nice != 0 && runtime.GOOS != "linux" {
				t.Skip("Linux alone can set it")
			}
			r := start(t, one(Replica{
				Args: []string{"/bin/sh", "-c", "echo $(id -u) $(id -G)"}, Dir: "/",
				Limits: Limits{User: tt.user, Nice: tt.nice},
			}, Policy{Restart: Never}))
			r.ends()
			want(t, strings.Join(r.lines, "\n"), tt.want)
		})
	}
}

func TestUnknownUser(t *testing.T) {
	r := start(t, one(Replica{Args: []string{"true"}, Limits: Limits{User: "no-such-user"}}, Policy{}))
	if e := r.event(LaunchFailed, 1); !strings.Contains(fmt.Sprint(e.Exit.Err), "no-such-user") {
		t.Errorf("error %v: want the name", e.Exit.Err)
	}
}

func TestOurOwnUser(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may set groups")
	}
	c, err := Limits{User: fmt.Sprint(os.Geteuid())}.credential()
	if c != nil || err != nil {
		t.Errorf("%v, %v: want none, which takes no root", c, err)
	}
	other := Replica{Args: []string{"true"}, Limits: Limits{User: "0"}}
	r := start(t, one(other, Policy{}))
	if e := r.event(LaunchFailed, 1); !strings.Contains(fmt.Sprint(e.Exit.Err), "takes root") {
		t.Errorf("error %v: want it to say that it takes root", e.Exit.Err)
	}
}
