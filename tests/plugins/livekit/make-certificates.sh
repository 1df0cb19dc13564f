#!/bin/sh
# Makes a private CA and what it signed, for the TLS tests: make-certificates.sh DIRECTORY
set -eu
cd "$1"
new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

new_key ca.key
openssl req -x509 -new -key ca.key -days 3650 -subj '/CN=Haven test CA' -out ca.pem

sign() { # NAME SUBJECT-ALT-NAME
  new_key "$1.key"
  openssl req -new -key "$1.key" -subj "/CN=$1" -out "$1.csr"
  printf 'subjectAltName=%s\n' "$2" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  cat "$1.crt" "$1.key" > "$1.pem"
}
sign local IP:127.0.0.1,DNS:localhost
sign elsewhere DNS:elsewhere.example
