#!/bin/sh
# Makes what docker-compose.yml needs in ./secrets: an authority and a certificate for the broker, passwords, a key to sign signals
# with. Nothing that is there already is replaced. Put there yourself: exchange-key and exchange-secret, and what the service `notify`
# needs: notify-phone, telegram-token, discord-token. The one-time codes' secret, commands-totp, is made.
#   deploy/secrets.sh [FOLDER] [HOST NAMES OF THE BROKER ...]
set -eu
umask 077
folder=${1:-secrets}
[ $# -gt 0 ] && shift
names="DNS:mosquitto,DNS:localhost,IP:127.0.0.1"
for name in "$@"; do names="$names,DNS:$name"; done
mkdir -p "$folder"
cd "$folder"

secret() { [ -s "$1" ] || openssl rand -hex 32 > "$1"; }
secret mqtt-password
secret producer-password
secret postgres-password
secret signal-key
secret grafana-password
[ -s commands-totp ] || openssl rand 20 | base32 > commands-totp
[ -s pgpass ] || printf 'postgres:5432:trader:trader:%s\n' "$(cat postgres-password)" > pgpass

if [ ! -s broker.pem ]; then
  openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=signal-trader authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout ca-key.pem -out mqtt-ca.pem 2>/dev/null
  openssl req -newkey rsa:2048 -nodes -subj "/CN=mosquitto" -keyout broker-key.pem -out broker.csr 2>/dev/null
  printf 'subjectAltName=%s\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n' "$names" > broker.ext
  openssl x509 -req -in broker.csr -CA mqtt-ca.pem -CAkey ca-key.pem -CAcreateserial -days 825 -extfile broker.ext \
    -out broker.pem 2>/dev/null
  cp mqtt-ca.pem ca.pem
  rm -f broker.csr broker.ext
fi

if [ ! -s passwords ]; then
  if command -v mosquitto_passwd >/dev/null; then
    : > passwords
    mosquitto_passwd -b passwords trader "$(cat mqtt-password)"
    mosquitto_passwd -b passwords producer "$(cat producer-password)"
  else
    echo "mosquitto_passwd is missing: run it in the broker's image, see deploy/README.md" >&2
  fi
fi
# The bot's user in the image is 10001, and these files are for nobody else to read; Grafana's is 472.
bot="mqtt-password mqtt-ca.pem signal-key pgpass exchange-key exchange-secret notify-phone telegram-token discord-token commands-totp"
touch exchange-key exchange-secret notify-phone telegram-token discord-token
if [ "$(id -u)" = 0 ]; then
  chown 10001 $bot
  chown 472 grafana-password
else
  echo "let the bot read them: sudo chown 10001 $(for one in $bot; do printf '%s ' "$folder/$one"; done)"
  echo "let Grafana read its own: sudo chown 472 $folder/grafana-password"
fi
echo "secrets are in $folder"
