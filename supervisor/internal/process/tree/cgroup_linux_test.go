package tree

import "testing"

func TestFindCgroup(t *testing.T) {
	const hybrid = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n" +
		"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:4 - cgroup2 cgroup2 rw\n"
	for _, tt := range []struct{ name, groups, mounts, want string }{
		{"hybrid", "8:pids:/x\n0::/\n", hybrid, "/sys/fs/cgroup/unified"},
		{"below", "0::/user.slice/my.service\n", hybrid, "/sys/fs/cgroup/unified/user.slice/my.service"},
		{"no version 2", "8:pids:/x\n", hybrid, ""},
		{"not mounted", "0::/x\n", "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n", ""},
		{"a part is mounted", "0::/docker/1/x\n", "41 31 0:38 /docker/1 /cg rw - cgroup2 cgroup2 rw\n", "/cg/x"},
		{"another part is mounted", "0::/docker/1/x\n", "41 31 0:38 /docker/2 /cg rw - cgroup2 cgroup2 rw\n", ""},
		{"outside our namespace", "0::/../x\n", hybrid, ""},
		{"a name with a space", "0::/x\n", "41 31 0:38 / /my\\040cg rw - cgroup2 cgroup2 rw\n", "/my cg/x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := findCgroup(tt.groups, tt.mounts)
			if string(got) != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}
