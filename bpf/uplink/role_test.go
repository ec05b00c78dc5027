package uplink_test

var roles = map[string]func() int{}
