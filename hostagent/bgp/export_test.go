package bgp

const (
	// Farewell is how long the peer has to close a session that we have ended.
	Farewell = farewell
	// Goodbye is how long it has when we stop.
	Goodbye = goodbye
	// CollisionWait is how long we wait with a dial beside a connection of the peer's.
	CollisionWait = collisionWait
)
