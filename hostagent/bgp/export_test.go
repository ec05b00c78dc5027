package bgp

// Farewell is how long the peer has to close a session that we have ended.
const Farewell = farewell
