package process

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"example.com/crashlab/supervisor/spec"
)

// limits adds methods to spec.Limits.
type limits spec.Limits

// CheckLimits returns an error for limits that are out of range or not supported on this system. It
// does not look up the user.
func CheckLimits(l spec.Limits) error {
	if l.Nice < -20 || l.Nice > 19 {
		return fmt.Errorf("nice %d: want -20 to 19", l.Nice)
	}
	for name, limit := range l.Rlimits {
		switch {
		case len(rlimits) == 0:
			return fmt.Errorf("rlimit %s: only Linux has means to set it before a program begins", name)
		case !hasRlimit(name):
			return fmt.Errorf("rlimit %q: want one of %s", name, strings.Join(rlimitNames(), ", "))
		case limit.Soft > limit.Hard:
			return fmt.Errorf("rlimit %s: soft %d: want at most hard, %d", name, limit.Soft, limit.Hard)
		}
	}
	if l.Nice != 0 && len(rlimits) == 0 {
		return fmt.Errorf("nice %d: only Linux has means to set it before a program begins", l.Nice)
	}
	return nil
}

func hasRlimit(name string) bool {
	_, ok := rlimits[name]
	return ok
}

func rlimitNames() []string {
	var names []string
	for name := range rlimits {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// credential returns the credential of l.User, or nil for that of the supervisor's process.
func (l limits) credential() (*syscall.Credential, error) {
	if l.User == "" {
		return nil, nil
	}
	c, err := credentialOf(l.User)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", l.User, err)
	}
	if int(c.Uid) != os.Geteuid() || c.Uid == 0 {
		return c, nil
	}
	// Only root may set groups, so the process keeps the supervisor's.
	if strings.Contains(l.User, ":") && int(c.Gid) != os.Getegid() {
		return nil, fmt.Errorf("user %q: to change the group takes root", l.User)
	}
	return nil, nil
}

// uidOf returns the user ID of a process with the given credential.
func uidOf(c *syscall.Credential) uint32 {
	if c == nil {
		return uint32(os.Geteuid())
	}
	return c.Uid
}

// identity returns the environment variables that describe l.User, or nil if it is empty or
// unknown.
func (l limits) identity() map[string]string {
	if l.User == "" {
		return nil // a lookup may ask another machine
	}
	name, _, _ := strings.Cut(l.User, ":")
	u, err := user.Lookup(name)
	if err != nil {
		u, err = user.LookupId(name)
	}
	if err != nil {
		return nil
	}
	return map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username}
}

// credentialOf looks up USER or USER:GROUP, each by name or number.
func credentialOf(name string) (*syscall.Credential, error) {
	name, group, ok := strings.Cut(name, ":")
	c, err := userCredential(name)
	if err != nil || !ok {
		return c, err
	}
	if g, err := user.LookupGroup(group); err == nil {
		group = g.Gid
	}
	gid, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("unknown group %q", group)
	}
	c.Gid = uint32(gid)
	return c, nil
}

// userCredential looks up a user by name or number, with its groups. A number without a user gets
// the group of that number.
func userCredential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if number, notNumber := strconv.ParseUint(name, 10, 32); err != nil && notNumber == nil {
		if u, err = user.LookupId(name); err != nil {
			return &syscall.Credential{Uid: uint32(number), Gid: uint32(number)}, nil
		}
	}
	if err != nil {
		return nil, err
	}
	uid, uidErr := strconv.ParseUint(u.Uid, 10, 32)
	gid, gidErr := strconv.ParseUint(u.Gid, 10, 32)
	names, namesErr := u.GroupIds()
	if err := errors.Join(uidErr, gidErr, namesErr); err != nil {
		return nil, err
	}
	c := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, name := range names {
		group, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			return nil, err
		}
		c.Groups = append(c.Groups, uint32(group))
	}
	return c, nil
}

// start starts a command whose attributes have the credential of l.User. The limits are in force
// before its first instruction.
func (l limits) start(cmd *exec.Cmd) error {
	begin := cmd.Start
	if len(l.Rlimits) > 0 || l.Nice != 0 {
		begin = func() error { return l.startStopped(cmd) }
	}
	err := begin()
	if errors.Is(err, syscall.EPERM) && cmd.SysProcAttr.Credential != nil && os.Geteuid() != 0 {
		return fmt.Errorf("%w: to run as user %q takes root", err, l.User)
	}
	return err
}
