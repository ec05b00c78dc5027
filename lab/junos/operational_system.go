package junos

import (
	"context"
	"fmt"
	"strings"
	"time"
)

func (s *session) software(_ context.Context, _ *element, w *writer) error {
	cfg := s.device.cfg
	w.payload("software-information", "")
	w.leaf("host-name", s.device.hostName())
	w.leaf("product-model", cfg.Model)
	w.leaf("product-name", cfg.Model)
	w.leaf("junos-version", cfg.Version)
	w.open("package-information")
	w.leaf("name", "os-kernel")
	w.leaf("comment", "JUNOS OS Kernel 64-bit ["+cfg.Version+"]")
	w.close()
	w.close()
	return nil
}

func (s *session) system(_ context.Context, _ *element, w *writer) error {
	cfg := s.device.cfg
	w.payload("system-information", "")
	w.leaf("hardware-model", cfg.Model)
	w.leaf("os-name", "junos")
	w.leaf("os-version", cfg.Version)
	w.leaf("serial-number", "SIM"+strings.ToUpper(cfg.HostName))
	w.leaf("host-name", s.device.hostName())
	w.close()
	return nil
}

// hostName is the configured name, or the one the device was made with.
func (d *Device) hostName() string {
	if name := d.db.running().leaf("system", "host-name"); name != "" {
		return name
	}
	return d.cfg.HostName
}

func (s *session) systemUptime(_ context.Context, _ *element, w *writer) error {
	now := s.device.now()
	_, up := s.device.uptime()
	booted := now.Add(-up)
	configured, user := s.device.db.lastCommit()
	moment := func(name string, t time.Time) {
		w.open(name)
		w.leaf("date-time", localTime(t), "junos:seconds", fmt.Sprint(t.Unix()))
		since := max(now.Sub(t), 0)
		w.leaf("time-length", timeSince(since), "junos:seconds", fmt.Sprint(int(since.Seconds())))
		if name == "last-configured-time" {
			w.leaf("user", user)
		}
		w.close()
	}
	w.payload("system-uptime-information", "")
	w.open("current-time")
	w.leaf("date-time", localTime(now), "junos:seconds", fmt.Sprint(now.Unix()))
	w.close()
	moment("system-booted-time", booted)
	moment("protocols-started-time", booted)
	moment("last-configured-time", configured)
	w.open("uptime-information")
	w.leaf("date-time", now.UTC().Format("3:04PM"), "junos:seconds", fmt.Sprint(now.Unix()))
	w.leaf("up-time", timeSince(up), "junos:seconds", fmt.Sprint(int(up.Seconds())))
	w.close()
	w.close()
	return nil
}

// timeSince writes a duration as Junos does: "4:07", "1:04:07", "2d 03:04", "1w2d 03:04".
func timeSince(t time.Duration) string {
	s := int(t.Seconds())
	days, hours, minutes := s/86400, s/3600%24, s/60%60
	switch {
	case days >= 7:
		return fmt.Sprintf("%dw%dd %02d:%02d", days/7, days%7, hours, minutes)
	case days > 0:
		return fmt.Sprintf("%dd %02d:%02d", days, hours, minutes)
	case hours > 0:
		return fmt.Sprintf("%d:%02d:%02d", hours, minutes, s%60)
	}
	return fmt.Sprintf("%d:%02d", minutes, s%60)
}
