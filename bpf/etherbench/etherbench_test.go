package etherbench_test

import (
	"os"
	"testing"

	"lastmile/bpf/etherbench"
)

func open(t testing.TB) *etherbench.Bench {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("root is needed to load BPF programs")
		}
		t.Skip("root is needed to load BPF programs")
	}
	b, err := etherbench.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func TestEveryCaseRuns(t *testing.T) {
	b, names := open(t), map[string]bool{"": true}
	for _, c := range etherbench.Cases() {
		names[c.Name] = true
		if _, err := b.Run(c, 10); err != nil {
			t.Error(err)
		}
		if !names[c.Base] {
			t.Errorf("%s is measured by %q, which does not come before it", c.Name, c.Base)
		}
	}
}

// BenchmarkFrame has the kernel run each case. The time an operation is the kernel's own, without the system call.
func BenchmarkFrame(b *testing.B) {
	bench := open(b)
	for _, c := range etherbench.Cases() {
		b.Run(c.Name, func(b *testing.B) {
			took, err := bench.Run(c, b.N)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(took.Nanoseconds()), "ns/frame")
		})
	}
}
