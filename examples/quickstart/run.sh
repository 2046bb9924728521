#!/usr/bin/env bash
# The quickstart: a scripted agent reads, writes, is refused, is asked about,
# and uses a credential that it cannot see. Each step says what happened and
# why, and is checked against what the service itself saw.
#
#   examples/quickstart/run.sh
#
# It needs Linux, Go and curl (installed when missing, where that is possible), no
# root, and no network but for that and for Go's modules. All that it makes is in
# one temporary folder, which is removed at the end. Exit status 0: every
# expectation held.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)

bold() { if [ -t 1 ]; then printf '\033[1m%s\033[0m\n' "$*"; else printf '%s\n' "$*"; fi; }
wrong=0
# expect WHAT COMMAND…: the command must succeed.
expect() {
	local what=$1
	shift
	if "$@" >/dev/null 2>&1; then
		echo "   ok      $what"
	else
		echo "   WRONG   $what"
		wrong=$((wrong + 1))
	fi
}
is() { [ "$(cat "$1" 2>/dev/null)" = "$2" ]; }
isnt() { [ "$(cat "$1" 2>/dev/null)" != "$2" ]; }
why() { sed -n 's/.*"why":"\(\([^"\\]\|\\.\)*\)".*/   because \1/p' "$1" 2>/dev/null; }

# On Debian, root gets curl installed; anybody else is told how.
if ! command -v curl >/dev/null; then
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		echo "cannot run the quickstart: curl is missing; install it (Debian, Ubuntu: sudo apt-get install curl) and run again" >&2
		exit 1
	fi
	echo "Installing curl, which the scripted agent uses"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends curl >/dev/null
fi
work=$(mktemp -d)
api_pid=
finish() {
	[ -z "$api_pid" ] || kill "$api_pid" 2>/dev/null || true
	[ ! -d "$work/state" ] || AMBIT_HOME=$work/state "$ambit" daemon stop >/dev/null 2>&1 || true
	rm -rf "$work"
}
trap finish EXIT

bold "0. Building"
# build FILE PACKAGE: from the sources, so that it is never an old one
build() {
	command -v go >/dev/null || { echo "cannot build $2: Go is missing; install it from https://go.dev/dl/" >&2; exit 1; }
	(cd "$top" && CGO_ENABLED=0 go build -o "$1" "$2")
}
ambit=${AMBIT:-$top/bin/ambit}   # AMBIT and API name programs that are built already
api=${API:-$work/api}
[ -n "${AMBIT:-}" ] || build "$ambit" ./cmd/ambit
[ -n "${API:-}" ] || build "$api" ./examples/quickstart/api
echo "   $("$ambit" version)"

# The person's side: a secret file, a token, and a workspace for the agent.
export AMBIT_HOME=$work/state
mkdir -p "$work/person" "$work/service" "$work/workspace"
secret=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
echo "$secret" >"$work/person/secret.txt"
NOTES_TOKEN=$token "$api" "$work/service" 2>"$work/service/errors" &
api_pid=$!
for _ in $(seq 200); do [ -s "$work/service/address" ] && break; sleep 0.05; done
address=$(cat "$work/service/address")
cp "$here/agent.sh" "$work/service/ca.pem" "$work/workspace/"
sed "s/127\.0\.0\.1:8443/$address/" "$here/ambit.yaml" >"$work/workspace/ambit.yaml"
cd "$work/workspace"

bold "1. What the agent may do (ambit explain ambit.yaml)"
"$ambit" explain ambit.yaml | sed 's/^/   /'

bold "2. The agent runs (ambit run -- sh agent.sh)"
NOTES_TOKEN=$token "$ambit" run --grants ambit.yaml -- sh agent.sh "$work/person/secret.txt" >"$work/agent.out" 2>&1 &
run_pid=$!
# field NAME: one value of the first open question
field() { sed -n "s/.*\"$1\": \"\([^\"]*\)\".*/\1/p" "$work/questions" | head -n 1; }
ticket=
for _ in $(seq 600); do
	"$ambit" approvals --json >"$work/questions" 2>/dev/null || true
	ticket=$(field ticket)
	[ -z "$ticket" ] && kill -0 "$run_pid" 2>/dev/null || break
	sleep 0.1
done
if [ -n "$ticket" ]; then
	echo "   The agent wants to delete a note. It waits for a person, who is shown:"
	"$ambit" show "$ticket" | sed 's/^/   | /'
	"$ambit" approve "$ticket" --digest "$(field digest)" | sed 's/^/   /'
fi
status=0
wait "$run_pid" || status=$?
sed 's/^/   agent: /' "$work/agent.out"
expect "the agent's program ended well" test "$status" = 0

bold "3. It read what it may read"
expect "GET /notes/1 was answered (200): $(cat said/read.body)" is said/read.status 200
bold "4. It wrote what it may write"
expect "POST /notes was answered (201)" is said/write.status 201
expect "it wrote its report into the workspace" test -s report.txt
bold "5. It was refused what is not granted"
expect "PUT /notes/1 was refused (403)" is said/change.status 403
why said/change.body
expect "attacker.example.net was not reached: $(head -n 1 said/outside.error)" isnt said/outside.status 200
expect "the person's file was not readable: $(head -n 1 said/secret.error)" test ! -s said/secret.body
bold "6. It was asked about, and a person approved exactly that, once"
expect "a person was asked" test -n "$ticket"
expect "DELETE /notes/2 went through afterwards (204)" is said/delete.status 204
bold "7. It used a credential that it cannot see"
expect "the variable inside holds only a placeholder: $(cat said/token.body)" sh -c "test -s said/token.body && ! grep -qF $token said/token.body"
expect "the real token is nowhere in the workspace" sh -c "! grep -rqF $token ."
expect "the secret is nowhere in the workspace" sh -c "! grep -rqF $secret ."

bold "8. What the service saw"
sed 's/^/   /' "$work/service/seen"
expect "three requests came through, each with the real token" is "$work/service/seen" "GET /notes/1 with the real token
POST /notes with the real token
DELETE /notes/2 with the real token"

bold "9. The log (ambit log, ambit verify)"
"$ambit" log | sed 's/^/   /'
expect "the log is whole: $("$ambit" verify 2>&1 | head -n 1)" "$ambit" verify

if [ "$wrong" != 0 ]; then
	bold "$wrong expectations did not hold."
	exit 1
fi
bold "Every expectation held."
