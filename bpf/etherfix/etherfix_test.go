package etherfix_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"lastmile/bpf/etherfix"
	"lastmile/bpf/etherfix/frames"
)

func TestRepair(t *testing.T) {
	for _, c := range frames.Table() {
		t.Run(c.Name, func(t *testing.T) {
			got := bytes.Clone(c.Frame)
			if v := etherfix.Repair(got); v != c.Want {
				t.Errorf("verdict %v, want %v", v, c.Want)
			}
			want := bytes.Clone(c.Frame)
			if c.Want.Repaired() {
				at := 12 + 4*int(c.Want-etherfix.RepairPlain)
				binary.BigEndian.PutUint16(want[at:], 0x0800)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the frame is now\n%x, want\n%x", got, want)
			}
		})
	}
}
