package lab

import "fmt"

// hostAgentConfig is the file of every server: nothing in it is the server's
// own but the AS, which the servers share.
func hostAgentConfig(n Node) string {
	return fmt.Sprintf(`as: %d
uplinks: ["eth*"]
announce: [loopback]
allowas_in: 1
listen: 127.0.0.1:9474
`, n.AS)
}

// hostAgent is what the file says of BFD, where that is not the default.
func (b BFDTimers) hostAgent() string {
	return fmt.Sprintf(`bfd:
  - transmit_interval: %v
    receive_interval: %[1]v
    detect_multiplier: %d
`, b.Interval, b.Multiplier)
}
