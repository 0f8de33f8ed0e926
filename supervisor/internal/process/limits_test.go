package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/spec"
)

func TestLimitsCheck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits spec.Limits
		want   string // part of the error; empty: there is none
	}{
		{"none", spec.Limits{}, ""},
		{"nice", spec.Limits{Nice: 19}, ""},
		{"too nice", spec.Limits{Nice: 20}, "nice 20: want -20 to 19"},
		{"rlimit", spec.Limits{Rlimits: map[string]spec.Rlimit{"nofile": {Soft: 64, Hard: 128}, "core": {Soft: 0, Hard: ^uint64(0)}}}, ""},
		{"unknown rlimit", spec.Limits{Rlimits: map[string]spec.Rlimit{"files": {}}}, `rlimit "files": want one of as, core, cpu, `},
		{"soft above hard", spec.Limits{Rlimits: map[string]spec.Rlimit{"as": {Soft: 2, Hard: 1}}}, "rlimit as: soft 2: want at most hard, 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if runtime.GOOS != "linux" && (tt.limits.Nice != 0 || tt.limits.Rlimits != nil) {
				t.Skip("only Linux can set these")
			}
			err := CheckLimits(tt.limits)
			if (err == nil) != (tt.want == "") || !strings.Contains(fmt.Sprint(err), tt.want) && err != nil {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// canLimit returns an error if rlimits and nice cannot be set on this system.
func canLimit() error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("true")
	cmd.SysProcAttr = new(syscall.SysProcAttr)
	if err := (limits{Nice: 1}).start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// needsLimits skips the test on such a system.
func needsLimits(t *testing.T) {
	t.Helper()
	if err := canLimit(); err != nil {
		t.Skip("needs a system that allows ptrace: ", err)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	id := exec.Command("id")
	id.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	if err := id.Run(); err != nil {
		t.Skip("needs root that can become any user: ", err)
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	groups, err := nobody.GroupIds()
	if err != nil {
		t.Skip(err)
	}
	asNobody := nobody.Uid + " " + sorted(strings.Join(groups, " "))
	for _, tt := range []struct {
		user string
		nice int // with it, the user is set by another way
		want string
	}{
		{"nobody", 0, asNobody},
		{nobody.Uid, 0, asNobody},
		{"54321", 0, "54321 54321"},
		{"54321", 1, "54321 54321"},
	} {
		t.Run(fmt.Sprint(tt.user, " ", tt.nice), func(t *testing.T) {
			if tt.nice != 0 {
				needsLimits(t)
			}
			got := run(t, "echo $(id -u) $(id -G)", spec.Limits{User: tt.user, Nice: tt.nice})
			uid, groups, _ := strings.Cut(got, " ")
			if got := uid + " " + sorted(groups); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// sorted returns the words in order.
func sorted(words string) string {
	all := strings.Fields(words)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}

func TestUnknownUser(t *testing.T) {
	err := launchError(t, newMachine(t, Config{}), Command{Args: []string{"true"}, Limits: spec.Limits{User: "no-such-user"}})
	if !strings.Contains(err.Error(), "no-such-user") {
		t.Errorf("error %v: want the name", err)
	}
}

func TestCurrentUserNeedsNoCredential(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("needs a user other than root, who may set groups")
	}
	c, err := limits{User: fmt.Sprint(os.Geteuid())}.credential()
	if c != nil || err != nil {
		t.Errorf("%v, %v: want none, which takes no root", c, err)
	}
	err = launchError(t, newMachine(t, Config{}), Command{Args: []string{"true"}, Limits: spec.Limits{User: "0"}})
	if !strings.Contains(err.Error(), "takes root") {
		t.Errorf("error %v: want it to say that it takes root", err)
	}
}

// Without root, the user and the group may be named if they are those of the supervisor's process.
func TestUserAndGroupWithoutRoot(t *testing.T) {
	args := as("ordinary user")
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	const want = "<nil>\n<nil>\nto change the group takes root\n"
	if err != nil || string(out) != want {
		t.Errorf("got %s, %v; want %s", out, err, want)
	}
}

func init() { parts["ordinary user"] = ordinaryUser }

// ordinaryUser prints the errors for some users as a user other than root.
func ordinaryUser() {
	if os.Geteuid() == 0 {
		if err := errors.Join(syscall.Setgid(54322), syscall.Setuid(54321)); err != nil {
			panic(err)
		}
	}
	for _, group := range []string{"", fmt.Sprint(":", os.Getegid()), fmt.Sprint(":", os.Getegid()+1)} {
		user := fmt.Sprint(os.Geteuid()) + group
		_, err := limits{User: user}.credential()
		fmt.Println(strings.TrimPrefix(fmt.Sprint(err), fmt.Sprintf("user %q: ", user)))
	}
}

// Without a user there is nothing to look up, which may ask another machine at each launch.
func TestNoUserIsNotLookedUp(t *testing.T) {
	if n := testing.AllocsPerRun(1, func() { limits{}.identity() }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestUserEnvironment(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	got := run(t, `echo "$HOME $USER $LOGNAME $(id -g)" >/dev/stdout`, spec.Limits{User: "nobody:12345"})
	if want := fmt.Sprintf("%s nobody nobody 12345", nobody.HomeDir); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
