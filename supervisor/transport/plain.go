package transport

import (
	"strconv"
	"strings"
)

// Plain returns the message of a gRPC connection error on one line, without gRPC's own prefixes.
func Plain(message string) string {
	if _, quoted, ok := strings.Cut(message, "desc = "); ok {
		if text, err := strconv.Unquote(quoted); err == nil {
			message = text
		}
	}
	for _, words := range []string{"transport: ", "Error while dialing: "} {
		message = strings.TrimPrefix(message, words)
	}
	return strings.ReplaceAll(message, "\n", " ")
}
