#!/usr/bin/env python3
"""Reads, feeds and drains spools as SPOOL-FORMAT.md, version 1, describes them.

A second implementation, written from the document alone, with the standard
library alone. Section numbers are those of the document.

    spoolfmt.py check FILE...                      judge envelopes and drops by their names
    spoolfmt.py feed SPOOL SENDER RCPT... <CONTENT  one message into the spool; prints its id
    spoolfmt.py drain SPOOL COMMAND...             run the command for every message that waits
    spoolfmt.py vectors DIR                        run the test vectors of a directory
"""
import contextlib, datetime, email.utils, errno, fcntl, hashlib, itertools, json, os, re, secrets, socket, stat, subprocess, sys, time

MAX_FILE, MAX_LINE, MAX_RECIPIENTS, MAX_FIELDS, MAX_HEADER = 4194304, 4096, 5000, 1000, 1048576
MAX_PARAMS, MAX_OUTCOME, MAX_REASON, ROOM, ROOM_EACH = 32, 256, 1200, 4096, 320
HALF_AGE, LOOK_AGAIN, LONGEST_WAIT = 36 * 3600, 60, 4 * 3600
SUFFIXES = ('.eml', '.envelope', '.done', '.mail')
NO_LINK = (errno.EPERM, errno.EACCES, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP)


class Malformed(Exception):
    """The message is at fault."""


class Foreign(Malformed):
    """The envelope is another user's than the content: it stays as it is, so that this can be seen."""


# 3. Ids

def valid_id(s):
    return (re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._=+-]{0,179}', s) is not None
            and not s.endswith(SUFFIXES))


def new_id():
    now = datetime.datetime.now(datetime.timezone.utc)
    return now.strftime('%Y%m%dT%H%M%S.%fZ-') + secrets.token_hex(10)


def split_name(name):
    for suffix in SUFFIXES:
        if name.endswith(suffix) and valid_id(name[:-len(suffix)]):
            return name[:-len(suffix)], suffix
    return None, None


# 5.3 Paths. Lengths are of octets, so they are taken of the encoded text.

BEYOND = '\u00a0-\U0010ffff'
ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~\-" + BEYOND
ATOMS = re.compile(rf'[{ATEXT}]+(?:\.[{ATEXT}]+)*')
QUOTED = re.compile(rf'"(?:[ !#-\[\]-~{BEYOND}]|\\[ -~])*"')
LABEL = re.compile(rf'[A-Za-z0-9_{BEYOND}](?:[A-Za-z0-9_{BEYOND}-]*[A-Za-z0-9_{BEYOND}])?')
LITERAL = re.compile(r'\[[!-;=?A-Z^-~]+\]')
PARAM = re.compile(rf'([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-<>-~{BEYOND}]+))?')
XTEXT = r'(?:[!-*,-<>-~]|\+[0-9A-F]{2})+'


def octets(s):
    return len(s.encode())


def check_address(address):
    local = QUOTED.match(address) or ATOMS.match(address)
    if not local or octets(address) > 512:
        raise Malformed('bad address')
    local, rest = local.group(), address[local.end():]
    if octets(local) > 256:
        raise Malformed('local part too long')
    plain = local[1:-1].replace('\\', '') if local[0] == '"' else local
    if plain.startswith(('-', '|', '/')) or plain.lower().startswith(':include:'):
        raise Malformed('dangerous address')
    if not rest:
        return
    domain = rest[1:]
    if rest[0] != '@':
        raise Malformed('bad local part')
    if LITERAL.fullmatch(domain):
        return
    labels = domain.split('.')
    if octets(domain) > 255 or not all(LABEL.fullmatch(x) and octets(x) <= 63 for x in labels):
        raise Malformed('bad domain')


def cut_path(value):
    """Returns the address in angle brackets and what follows them."""
    m = re.match(r'<((?:"(?:\\.|[^"\\])*")?[^>]*)>', value)
    if not m:
        raise Malformed('no <address>')
    if m.group(1):
        check_address(m.group(1))
    return m.group(1), value[m.end():]


def known_param(of, keyword, value):
    v = value or ''
    checks = {
        ('Sender', 'BODY'): lambda: v.upper() in ('7BIT', '8BITMIME', 'BINARYMIME'),
        ('Sender', 'RET'): lambda: v.upper() in ('FULL', 'HDRS'),
        ('Sender', 'ENVID'): lambda: len(v) <= 100 and re.fullmatch(XTEXT, v),
        ('Sender', 'SMTPUTF8'): lambda: value is None,
        ('Recipient', 'NOTIFY'): lambda: notify(v.upper()),
        ('Recipient', 'ORCPT'): lambda: octets(v) <= 500 and orcpt(v),
    }
    check = checks.get((of, keyword.upper()))
    return check is None or bool(check())


def notify(v):
    words = v.split(',')
    return v == 'NEVER' or (set(words) <= {'SUCCESS', 'FAILURE', 'DELAY'} and len(set(words)) == len(words))


def orcpt(v):
    kind, semicolon, address = v.partition(';')
    if not semicolon or not re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+", kind):
        return False
    return bool(address) if kind.lower() == 'utf-8' else bool(re.fullmatch(XTEXT, address))


def parse_path(of, value):
    address, rest = cut_path(value)
    params = []
    if rest:
        for word in rest.split(' ')[1:] if rest[0] == ' ' else ['']:
            m = PARAM.fullmatch(word)
            if not m or m.group(1).upper() in (k.upper() for k, _ in params):
                raise Malformed('bad parameter')
            if not known_param(of, m.group(1), m.group(2)):
                raise Malformed('bad value of ' + m.group(1))
            params.append([m.group(1), m.group(2)])
    if len(params) > MAX_PARAMS:
        raise Malformed('too many parameters')
    return {'address': address, 'params': params}


# 5. Envelope

SINGLE = {n.lower() for n in (
    'Spool-Format Sender Size CRC32C SHA256 Received-At Client-Address Client-Name Client-Ident Helo '
    'Protocol TLS Attempts Next-Attempt Last-Error Set-Aside Requeued-At').split()}
DRAINERS = {'delivered', 'failed', 'attempts', 'next-attempt', 'last-error', 'set-aside', 'requeued-at'}
TIME = re.compile(r'([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]{1,9})?Z')
BAD_TEXT = re.compile('[\x00-\x1f\x7f-\x9f]')


def check_time(s):
    m = TIME.fullmatch(s)
    try:
        datetime.datetime(*map(int, m.groups())) if int(m.group(1)) else datetime.datetime(4, *map(int, m.groups()[1:]))
    except (AttributeError, ValueError):
        raise Malformed('bad time') from None


def parse_outcome(status, value):
    address, rest = cut_path(value)
    m = re.fullmatch(r' ([^ ]+)(?: ([^ ].*))?', rest)
    if not m or (status == 'failed' and not m.group(2)) or octets(m.group(2) or '') > MAX_OUTCOME:
        raise Malformed('bad outcome')
    check_time(m.group(1))
    return address, {'status': status, 'time': m.group(1), 'text': m.group(2) or ''}


def parse_envelope(data):
    """Returns the value of G, or raises Malformed."""
    if len(data) > MAX_FILE:
        raise Malformed('file too long')
    env = {'format': 1, 'sender': None, 'recipients': [], 'size': None, 'fields': []}
    seen, outcomes, room, rest = set(), [], len(data) + ROOM, data
    while True:
        line, lf, rest = rest.partition(b'\n')
        if len(line) >= MAX_LINE:
            raise Malformed('line too long')
        if not lf:
            raise Malformed('no empty line at the end')
        if not line:
            break
        try:
            key = parse_field(env, line.decode(), seen, outcomes)
        except UnicodeDecodeError:
            raise Malformed('not UTF-8') from None
        room -= len(line) + 1 if key in DRAINERS else 0
    if rest:
        raise Malformed('text after the empty line')
    for address, outcome in outcomes:
        mine = [r for r in env['recipients'] if r['address'] == address]
        if not mine or mine[0]['outcome']:
            raise Malformed('outcome of no recipient, or a second one')
        for r in mine:
            r['outcome'] = outcome
    for what in ('sender', 'recipients', 'size'):
        if env[what] in (None, []):
            raise Malformed('no ' + what)
    if room + sum(octets(r['address']) + ROOM_EACH for r in env['recipients']) > MAX_FILE:
        raise Malformed('no room for outcomes')
    if sum(n.lower() not in {'recipient', *DRAINERS} for n, _ in env['fields']) > MAX_FIELDS:
        raise Malformed('too many fields')
    return env


def parse_field(env, line, seen, outcomes):
    """Returns the name in lower case."""
    first = not env['fields']
    name, colon, value = line.partition(': ')
    if not colon or not re.fullmatch(r'[A-Za-z][A-Za-z0-9-]{0,63}', name):
        raise Malformed('not a field')
    if not value or value != value.strip(' ') or BAD_TEXT.search(value):
        raise Malformed('bad value')
    key = name.lower()
    if first != (key == 'spool-format') or (first and value != '1'):
        raise Malformed('Spool-Format: 1 comes first, once')
    if key in SINGLE and key in seen:
        raise Malformed(name + ' twice')
    seen.add(key)
    if key == 'sender':
        env['sender'] = parse_path('Sender', value)
    elif key == 'recipient':
        path = parse_path('Recipient', value)
        if not path['address'] or len(env['recipients']) >= MAX_RECIPIENTS:
            raise Malformed('no address, or too many')
        env['recipients'].append({**path, 'outcome': None})
    elif key == 'size':
        if not re.fullmatch(r'0|[1-9][0-9]{0,17}', value):
            raise Malformed('bad size')
        env['size'] = int(value)
    elif key == 'attempts' and not re.fullmatch(r'0|[1-9][0-9]{0,8}', value):
        raise Malformed('bad number')
    elif key == 'crc32c' and not re.fullmatch(r'[0-9a-f]{8}', value):
        raise Malformed('bad CRC32C')
    elif key == 'sha256' and not re.fullmatch(r'[0-9a-f]{64}', value):
        raise Malformed('bad SHA256')
    elif key in ('received-at', 'next-attempt', 'requeued-at'):
        check_time(value)
    elif key == 'last-error' and octets(value) > MAX_REASON:
        raise Malformed('text too long')
    elif key == 'set-aside':
        if not re.fullmatch(r'[^ ]+ [^ ].*', value) or octets(value) > MAX_REASON:
            raise Malformed('no reason')
        check_time(value.split(' ')[0])
    elif key in ('delivered', 'failed'):
        outcomes.append(parse_outcome(key, value))
    env['fields'].append([name, value])
    return key


def marshal(env):
    return ''.join(f'{n}: {v}\n' for n, v in env['fields']).encode() + b'\n'


def crc_table():
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    return table


CRC_TABLE = crc_table()


def crc32c(data):
    crc = 0xffffffff
    for octet in data:
        crc = CRC_TABLE[(crc ^ octet) & 255] ^ crc >> 8
    return crc ^ 0xffffffff


def field(env, name):
    return next((v for n, v in env['fields'] if n.lower() == name), None)


def fits(env, content):
    """7: Size and checksums."""
    return (len(content) == env['size'] and field(env, 'crc32c') in (None, f'{crc32c(content):08x}')
            and field(env, 'sha256') in (None, hashlib.sha256(content).hexdigest()))


def make_envelope(sender, recipients, content):
    fields = [['Spool-Format', '1'], ['Sender', f'<{sender}>']]
    fields += [['Recipient', f'<{r}>'] for r in recipients] + [['Size', str(len(content))], ['CRC32C', f'{crc32c(content):08x}']]
    return parse_envelope(marshal({'fields': fields}))


def now_text(now):
    return datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%fZ')


# A. The single-file drop

def unix_lines(data):
    """A.1 rule 1."""
    if b'\0' in data:
        raise Malformed('NUL')
    if b'\r' in data:
        if re.search(rb'\r(?!\n)|(?<!\r)\n', data):
            raise Malformed('CR LF and other lines mixed')
        data = data.replace(b'\r\n', b'\n')
    return data


def header_size(data):
    """A.1 rule 2: octets in the file, before the first empty line."""
    end = re.search(rb'(?:\A|(?<=\n))\r?\n', data)
    return end.start() if end else len(data)


def parse_mail(data, now, ident, host):
    """Returns sender, recipients and content, or raises Malformed."""
    if header_size(data) > MAX_HEADER:
        raise Malformed('header too long')
    fields, kept, dropping = [], [], False
    lines = re.findall(rb'[^\n]*\n|[^\n]+', unix_lines(data))
    for at, line in enumerate(lines):
        text = line.rstrip(b'\n')
        if not text:
            body = lines[at:]
            break
        if at == 0 and text.startswith(b'From '):
            continue
        if text[:1] in (b' ', b'\t'):
            if not fields:
                raise Malformed('continuation of nothing')
            fields[-1][1] += text
        else:
            m = re.match(rb'([!-9;-~]+)[ \t]*:', text)
            if not m:
                raise Malformed('not a header field')
            name = m.group(1).decode().lower()
            fields.append([name, text[m.end():]])
            dropping = name in ('return-path', 'bcc', 'resent-bcc')
        if not dropping:
            kept.append(text + b'\n')
    else:
        body = []
    names = {name for name, _ in fields}
    if 'date' not in names:
        kept.append(f'Date: {email.utils.format_datetime(now)}\n'.encode())
    if 'message-id' not in names:
        kept.append(f'Message-ID: <{ident}@{host}>\n'.encode())
    content = b''.join(kept + body)
    if not content.endswith(b'\n'):
        content += b'\n'
    return (*addresses_of(fields), content)


def addresses_of(fields):
    def named(name):
        return [value for n, value in fields if n == name]
    prefix = 'resent-' if any(named('resent-' + n) for n in ('to', 'cc', 'bcc')) else ''
    recipients = []
    for n in ('to', 'cc', 'bcc'):
        for value in named(prefix + n):
            recipients += address_list(value)
    recipients = list(dict.fromkeys(recipients))
    if not recipients or len(recipients) > MAX_RECIPIENTS:
        raise Malformed('no recipient, or too many')
    senders = ['return-path'] + ['resent-sender', 'resent-from'] * bool(prefix) + ['sender', 'from']
    name = next((n for n in senders if named(n)), None)
    if name is None:
        raise Malformed('no sender')
    value = named(name)[0]
    if name == 'return-path' and value.strip(b' \t') == b'<>':
        return '', recipients
    found = address_list(value)
    if not found:
        raise Malformed('no address of a sender')
    return found[0], recipients


TOKEN = re.compile(r'(?P<blank>[ \t]+)|(?P<word>"(?:\\.|[^"\\])*"|\[[^\]]*\]|[^ \t()<>,:;"[\]\\]+)|(?P<mark>[(<,:;])', re.S)


def address_list(value):
    try:
        # What stands around the addresses may be in any character set.
        found = read_list(value.decode(errors='surrogateescape'))
        ''.join(found).encode()
        return found
    except UnicodeEncodeError:
        raise Malformed('address is not UTF-8') from None


def comment_end(s, i):
    depth = 0
    while i < len(s):
        if s[i] == '\\':
            i += 1
        elif s[i] == '(':
            depth += 1
        elif s[i] == ')':
            depth -= 1
            if not depth:
                return i + 1
        i += 1
    raise Malformed('comment without end')


def read_list(s):
    found, words, angle, after, group, i, gap = [], [], None, False, False, 0, False

    def end():
        nonlocal words, angle, after, gap
        if angle is not None:
            if after:
                raise Malformed('text after <address>')
            found.append(angle)
        elif words:
            for (a, _), (b, blank) in zip(words, words[1:]):
                if blank and not a.endswith(('.', '@')) and not b.startswith(('.', '@')):
                    raise Malformed('two words')
            found.append(''.join(w for w, _ in words))
        words, angle, after, gap = [], None, False, False

    while i < len(s):
        m = TOKEN.match(s, i)
        if not m:
            raise Malformed('out of place: ' + s[i])
        if m['blank']:
            gap, i = True, m.end()
        elif m['word']:
            words.append((m['word'], gap))
            after, gap, i = angle is not None, False, m.end()
        elif s[i] == '(':
            gap, i = True, comment_end(s, i)
        elif s[i] == '<':
            if angle is not None:
                raise Malformed('two <addresses>')
            angle, i = read_angle(s, i + 1)
        elif s[i] == ',':
            end()
            i += 1
        elif s[i] == ':':
            if group or angle is not None or not words:
                raise Malformed('group out of place')
            group, words, gap, i = True, [], False, i + 1
        else:
            if not group:
                raise Malformed('; out of place')
            end()
            group, i = False, i + 1
    if group:
        raise Malformed('group without end')
    end()
    for a in found:
        check_address(a)
    return found


def read_angle(s, i):
    out = ''
    while i < len(s):
        if s[i] == '>':
            route = re.match('@[^:]*:', out)
            return (out[route.end():] if route else out), i + 1
        m = TOKEN.match(s, i)
        if s[i] == '(':
            i = comment_end(s, i)
        elif s[i] in ',:':
            out, i = out + s[i], i + 1
        elif not m or m['mark']:
            raise Malformed('out of place in <address>')
        else:
            out, i = out + (m['word'] or ''), m.end()
    raise Malformed('< without >')


# 2 to 10: files

class Later(Exception):
    """Nothing to do now: somebody else's, or trouble with the system (6.1)."""


class Odd(Exception):
    """Something else than a regular file."""


def move(a, b):
    """2.3 and B: never replaces."""
    try:
        os.link(a, b, follow_symlinks=False)
    except FileExistsError:
        if not same(a, b):
            raise
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.EISDIR) or not stat.S_ISDIR(os.lstat(a).st_mode):
            raise
        if os.path.lexists(b):
            raise FileExistsError(b) from None
        os.rename(a, b)  # B: a directory
        return
    try:
        os.unlink(a)
    except FileNotFoundError:  # somebody else moved it
        if os.lstat(b).st_nlink > 1:
            os.unlink(b)
            raise


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_new(path, data, mode=0o640):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(fd, 'wb') as f:
        os.fchmod(fd, mode)
        f.write(data)


def same(a, b):
    """Whether both names exist and are one file."""
    try:
        return os.path.samestat(os.lstat(a), os.lstat(b))
    except FileNotFoundError:
        return False


def stat_or_none(path):
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def regular(path):
    st = stat_or_none(path)
    return st is not None and stat.S_ISREG(st.st_mode)


def remove(path):
    """10.4: whatever it is; a directory that is not empty stays."""
    try:
        os.unlink(path)
    except (IsADirectoryError, PermissionError):
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            raise
        try:
            os.rmdir(path)
        except OSError:
            raise Later('not empty') from None


class Spool:
    def __init__(self, top, clock=time.time, may_read=lambda path: True, log=lambda line: print(line, file=sys.stderr)):
        self.top, self.clock, self.may_read, self.seen, self.after = top, clock, may_read, {}, []
        self.log, self.logged = log, set()
        for box in ('tmp', 'new', 'cur', 'bad'):
            os.makedirs(self.path(box), mode=0o700, exist_ok=True)

    def path(self, box, name=''):
        return os.path.join(self.top, box, name)

    def has(self, box, name):
        return os.path.lexists(self.path(box, name))

    def sync(self, *boxes):
        for box in boxes:
            sync(self.path(box))

    def log_once(self, line):
        if line not in self.logged:
            self.logged.add(line)
            self.log(line)

    @contextlib.contextmanager
    def one(self, what, quiet=(Later, FileNotFoundError, FileExistsError)):
        """6.1 and 9.1: trouble with one message is logged, and the pass goes on. What is quiet is a race with another program."""
        try:
            yield
        except quiet:
            pass
        except (Later, Malformed, Odd, OSError) as e:
            self.log_once(f'{what}: {e}')

    def feed(self, sender, recipients, content):
        """8; returns the id."""
        private = new_id()
        c, e = self.path('tmp', private + '.c'), self.path('tmp', private + '.e')
        write_new(c, content)
        write_new(e, marshal(make_envelope(sender, recipients, content)))
        with open(c, 'rb') as held, open(e, 'r+b') as env:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            while True:
                ident = new_id()
                if self.has('new', ident + '.envelope'):
                    continue
                try:
                    move(c, self.path('new', ident + '.eml'))
                except FileExistsError:
                    continue
                try:
                    move(e, self.path('new', ident + '.envelope'))
                    break
                except FileExistsError:
                    move(self.path('new', ident + '.eml'), c)
            try:
                os.fsync(held.fileno())
                os.fsync(env.fileno())
                self.sync('new')
            except OSError:
                os.ftruncate(env.fileno(), 0)
                raise
            fcntl.flock(held, fcntl.LOCK_UN)
            os.fchmod(env.fileno(), stat.S_IMODE(os.fstat(env.fileno()).st_mode))
            return ident

    def open(self, path):
        """6.1: None when there is nothing, Odd when it is no regular file, Later for trouble."""
        st = stat_or_none(path)
        if st is None:
            return None
        if not stat.S_ISREG(st.st_mode):
            raise Odd
        flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            if not self.may_read(path):
                raise PermissionError(path)
            try:
                return os.fdopen(os.open(path, os.O_RDWR | flags), 'rb')
            except PermissionError:  # another user's, whom our group lets read
                return os.fdopen(os.open(path, os.O_RDONLY | flags), 'rb')
        except FileNotFoundError:
            return None
        except OSError as e:
            self.log_once(str(e))
            raise Later(str(e)) from None

    def read(self, path):
        """A file that others may be replacing; None when there is none."""
        f = self.open(path)
        if f is None:
            return None
        with f:
            return f.read(MAX_FILE + 1)

    def lock(self, path):
        """6.2: a locked, verified file; None when there is nothing."""
        f = self.open(path)
        if f is None:
            return None
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.verify(f, path)
            return f
        except (BlockingIOError, FileNotFoundError):
            f.close()
            raise Later('busy') from None
        except (Later, OSError):
            f.close()
            raise

    def verify(self, f, path):
        if not os.path.samestat(os.fstat(f.fileno()), os.lstat(path)):
            raise Later('another file')

    def ripe(self, path, state):
        """10.1: not changed for 36 hours, and seen twice, a minute apart."""
        st = stat_or_none(path)
        if st is None or self.clock() - st.st_ctime < HALF_AGE:
            return False
        return self.clock() - self.seen.setdefault((state, st.st_ino), self.clock()) >= LOOK_AGAIN

    # 9.1

    def claim(self, ident):
        """The locked content of a message that is ours now, else None."""
        for box, step in (('new', self.from_new), ('cur', self.recover)):
            with self.one(ident), contextlib.ExitStack() as locked:
                try:
                    f = self.lock(self.path(box, ident + '.eml'))
                except Odd:
                    self.alone_odd(ident)
                    continue
                if f is None:
                    continue
                locked.enter_context(f)  # unlocked at the end: then comes cur
                if step(ident, f):
                    locked.pop_all()
                    return f
        for step in (self.half, self.ended):
            with self.one(ident):
                step(ident)
        return None

    def from_new(self, ident, f):
        eml, env, cur = ident + '.eml', ident + '.envelope', self.path('cur', ident + '.eml')
        if self.has('cur', ident + '.mail') or regular(cur) or regular(self.path('cur', ident + '.done')):
            return False
        if os.path.lexists(cur):
            self.aside_odd(ident, 'cur', '.eml')
        if not self.has('cur', env):
            move(self.path('new', env), self.path('cur', env))
        move(self.path('new', eml), cur)
        self.verify(f, cur)
        return self.recover(ident, f)

    def aside_odd(self, ident, box, suffix):
        """What is no regular file, and in a message's way."""
        move(self.path(box, ident + suffix), self.path('bad', self.free_in_bad(ident) + suffix))
        self.sync('bad', box)

    # 10.2

    def recover(self, ident, f):
        eml, env, done = (self.path('cur', ident + s) for s in ('.eml', '.envelope', '.done'))
        new_env = self.path('new', ident + '.envelope')
        if self.has('cur', ident + '.mail'):
            return False
        for older, newer in ((self.path('new', ident + '.eml'), eml), (new_env, env), (new_env, done)):
            if same(older, newer):
                os.unlink(older)
        if self.in_bad(ident, eml, env if os.path.lexists(env) else done):
            self.sync('bad')
            self.leave(ident)
            return False
        if os.path.lexists(env):
            self.remove_stale(done)
            return True
        if os.path.lexists(done):
            if self.done_fits(done, f):
                self.sync('new', 'cur')
                os.unlink(eml)
                self.sync('cur')
            self.remove_stale(done)
            if not os.path.lexists(eml):
                return False
            if not os.path.lexists(done):
                return self.recover(ident, f)
        if os.path.lexists(new_env) and not regular(self.path('new', ident + '.eml')):
            move(new_env, env)
            return self.recover(ident, f)
        if self.ripe(eml, 'lost'):
            move(eml, self.path('bad', self.free_in_bad(ident) + '.eml'))
            self.sync('bad', 'cur')
        return False

    def remove_stale(self, done):
        """10.4: a directory that stays keeps no message from its delivery."""
        try:
            if os.path.lexists(done):
                remove(done)
        except Later:
            pass

    def done_fits(self, done, f):
        try:
            data = self.read(done)
            f.seek(0)
            return data is not None and fits(parse_envelope(data), f.read())
        except (Malformed, Odd):
            return False

    def bad_names(self, ident):
        """9.6"""
        yield ident
        for n in range(1, 1000):
            yield f'{ident[:180 - len(f".{n}")]}.{n}'

    def used_in_bad(self, name):
        return any(self.has('bad', name + s) for s in SUFFIXES)

    def free_in_bad(self, ident):
        for name in self.bad_names(ident):
            if not self.used_in_bad(name):
                return name
        raise OSError(errno.EEXIST, 'bad has no free name', ident)

    def in_bad(self, ident, eml, env):
        """B: removes names in bad where nothing was decided; tells whether the message is in bad too."""
        if all(st is None or st.st_nlink == 1 for st in (x and stat_or_none(x) for x in (eml, env))):
            return False
        for name in itertools.takewhile(self.used_in_bad, self.bad_names(ident)):
            c, e = self.path('bad', name + '.eml'), self.path('bad', name + '.envelope')
            ours = [x for x, mine in ((c, eml), (e, env)) if mine and same(x, mine)]
            if ours and os.path.lexists(c) and os.path.lexists(e) and (e in ours or not (env and os.path.lexists(env))):
                return True
            for x in ours:
                os.unlink(x)
            if ours:
                self.sync('bad')
        return False

    def leave(self, ident):
        """9.6 step 4"""
        for suffix in ('.envelope', '.eml'):
            path = self.path('cur', ident + suffix)
            if os.path.lexists(path):
                os.unlink(path)
            self.sync('cur', 'new')

    # 10.2 to 10.4: halves

    def half(self, ident):
        new_c, cur_c = self.path('new', ident + '.eml'), self.path('cur', ident + '.eml')
        if os.path.lexists(new_c):
            self.half_content(ident, new_c)
        elif os.path.lexists(cur_c):
            if not regular(cur_c):
                self.half_content(ident, cur_c)
        elif not self.has('cur', ident + '.mail'):
            for box in ('new', 'cur'):
                path = self.path(box, ident + '.envelope')
                if os.path.lexists(path) and self.ripe(path, 'alone'):
                    self.aside_alone(ident, box)

    def half_content(self, ident, path):
        """HALF, and what is no regular file, in either box (10.4)."""
        near = ('new', 'cur', 'bad') if regular(path) else ('new', 'cur')
        if any(self.has(b, ident + '.envelope') for b in near) or not self.ripe(path, 'half'):
            return
        try:
            held = self.lock(path)
        except Odd:
            held = None
        try:
            if not any(self.has(b, ident + '.envelope') for b in near):
                self.in_bad(ident, path, None)
                move(path, self.path('bad', self.free_in_bad(ident) + '.eml'))
                self.sync('bad', 'new', 'cur')
        finally:
            if held:
                held.close()

    def no_content(self, ident, odd):
        """Whether there is no content, in this order; something odd in its place counts as none."""
        def none(path):
            st = stat_or_none(path)
            return st is None or (odd and not stat.S_ISREG(st.st_mode))
        return none(self.path('new', ident + '.eml')) and none(self.path('cur', ident + '.eml'))

    def aside_alone(self, ident, box, odd=False):
        """10.3: the name in bad, or None."""
        path, held = self.path(box, ident + '.envelope'), None
        try:
            held = self.lock(path)
            if held is None:
                return None
        except Odd:
            pass
        try:
            if not self.no_content(ident, odd) or not os.path.lexists(path):
                return None
            if held:
                self.verify(held, path)
            cur = self.path('cur', ident + '.envelope')
            if box == 'new' and same(path, cur):
                os.unlink(path)
                return None
            if self.in_bad(ident, None, path):
                self.sync('bad')
                os.unlink(path)
                return None
            name = self.free_in_bad(ident)
            move(path, self.path('bad', name + '.envelope'))
            self.sync('bad', 'new', 'cur')
            if held and self.ours(os.fstat(held.fileno()).st_uid):
                line = self.reason_line('content is no regular file' if odd else 'envelope without content')
                data = self.with_reason(held.read(MAX_FILE + 1), line, True)
                if data:
                    self.replace('bad', name + '.envelope', data, os.fstat(held.fileno()))
            return name
        finally:
            if held:
                held.close()

    def alone_odd(self, ident):
        """10.4"""
        for box in ('new', 'cur'):
            if self.has(box, ident + '.envelope'):
                try:
                    name = self.aside_alone(ident, box, odd=True)
                except (Later, FileNotFoundError):
                    return
                for where in ('new', 'cur'):
                    odd = stat_or_none(self.path(where, ident + '.eml'))
                    if name and odd and not stat.S_ISREG(odd.st_mode):
                        move(self.path(where, ident + '.eml'), self.path('bad', name + '.eml'))
                        self.sync('bad', where)
                        return
                return

    def ended(self, ident):
        done, eml = self.path('cur', ident + '.done'), self.path('cur', ident + '.eml')
        if not os.path.lexists(done) or self.has('cur', ident + '.mail') or regular(eml):
            return
        try:
            held = self.lock(done)
        except Odd:
            held = None
        try:
            if not regular(eml):
                older = self.path('new', ident + '.envelope')
                if held and same(older, done):
                    os.unlink(older)
                if held:
                    self.in_bad(ident, None, done)
                self.sync('cur')
                remove(done)
        finally:
            if held:
                held.close()

    # 9.3 to 9.6

    def ours(self, uid):
        return uid in (0, os.stat(self.path('new')).st_uid)

    def load(self, ident, f):
        """The envelope, the content, and which file the envelope is."""
        path = self.path('cur', ident + '.envelope')
        try:
            e = self.open(path)
        except Odd:
            raise Malformed('envelope is not a regular file') from None
        if e is None:
            raise Later('it is gone')
        with e:
            was = os.fstat(e.fileno())
            owner = was.st_uid
            if not self.ours(owner) and owner != os.fstat(f.fileno()).st_uid:
                raise Foreign('envelope and content belong to different users')
            env = parse_envelope(e.read(MAX_FILE + 1))
        f.seek(0)
        content = f.read(env['size'] + 1)
        if not fits(env, content):
            raise Malformed('content does not have that Size and checksum')
        if b'\r' in content or b'\0' in content:
            raise Malformed('CR or NUL in the content')
        return env, content, was

    def record(self, ident, data, was):
        """9.4"""
        self.sync('new', 'cur')
        self.replace('cur', ident + '.envelope', data, was)

    def replace(self, box, name, data, was):
        """Replaces the file that was read, and no other."""
        private, final = self.path('tmp', new_id() + '.r'), self.path(box, name)
        write_new(private, data)
        try:
            sync(private)
            if not os.path.samestat(os.lstat(final), was):
                raise FileNotFoundError(errno.ENOENT, 'the file that was read is gone', final)
            os.rename(private, final)
        except OSError:
            os.unlink(private)
            raise
        self.sync(box)

    def finish(self, ident):
        """9.5, but for step 4, which next does."""
        done = self.path('cur', ident + '.done')
        try:
            os.rename(self.path('cur', ident + '.envelope'), done)
        except FileNotFoundError:
            self.log_once(f'{ident}: the envelope is gone, so the message is not ours any more')
            return
        except IsADirectoryError:  # 10.4
            os.unlink(self.path('cur', ident + '.envelope'))
        else:
            self.after.append((done, os.lstat(done)))
        self.sync('cur', 'new')
        os.unlink(self.path('cur', ident + '.eml'))

    def end(self):
        """9.5 step 4 of all that were finished."""
        if self.after:
            self.sync('cur')
        for done, ours in self.after:
            with self.one(done):
                now = os.lstat(done)
                if os.path.samestat(now, ours) and now.st_mtime_ns == ours.st_mtime_ns:
                    os.unlink(done)
        self.after = []

    def reason_line(self, reason):
        return f'{now_text(self.clock())} {BAD_TEXT.sub("?", str(reason))}'

    def with_reason(self, data, line, ours):
        """An envelope with Set-Aside in it; None where that is more than an envelope may be."""
        try:
            env = parse_envelope(data)
            env['fields'] = [x for x in env['fields'] if x[0].lower() != 'set-aside'] + [['Set-Aside', line]]
            return marshal(env)
        except Malformed:
            if len(data) > MAX_FILE:
                return None
            if ours:  # else a feeder wrote the line
                data = re.sub(rb'\ASet-Aside: [^\n]*\n', b'', data)
            return f'Set-Aside: {line}\n'.encode() + data

    def set_aside(self, ident, reason):
        """9.6"""
        env, eml = self.path('cur', ident + '.envelope'), self.path('cur', ident + '.eml')
        ours = regular(env) and not isinstance(reason, Foreign)
        if ours:
            e = self.open(env)
            if e is None:
                raise Later('it is gone')
            with e:
                was = os.fstat(e.fileno())
                data = self.with_reason(e.read(MAX_FILE + 1), self.reason_line(reason), self.ours(was.st_uid))
            if data:
                self.record(ident, data, was)
        while not self.put_in_bad(eml, env, self.free_in_bad(ident), ours):
            pass
        self.sync('bad')
        self.leave(ident)

    def put_in_bad(self, eml, env, name, ours):
        """9.6 step 2; tells whether the name was free."""
        c, e = self.path('bad', name + '.eml'), self.path('bad', name + '.envelope')
        try:
            self.link_or_copy(eml, c)
        except FileExistsError:
            return False
        try:
            if ours:
                self.link_or_copy(env, e)
            else:
                self.sync('bad')
                move(env, e)
        except FileExistsError:
            os.unlink(c)
            return False
        return True

    def link_or_copy(self, a, b):
        try:
            os.link(a, b)
        except OSError as e:
            if e.errno not in NO_LINK:
                raise
            self.copy(a, b)

    def copy(self, a, b):
        private = self.path('tmp', new_id() + '.a')
        with open(a, 'rb') as f:
            write_new(private, f.read())
        try:
            sync(private)
            move(private, b)
        except OSError:
            os.unlink(private)
            raise

    # A.3

    def take_drop(self, box, ident):
        """The id of the message that the drop became, None to look again."""
        path, fresh = self.path(box, ident + '.mail'), ident
        try:
            f = self.lock(path)
            if f is None:
                return None
            with f:
                f.seek(0)
                data = f.read(os.fstat(f.fileno()).st_size)
                if os.fstat(f.fileno()).st_nlink > 1 and not self.one_name(box, path, ident):
                    return None
                if box == 'new':
                    fresh = new_id()
                    move(path, self.path('cur', fresh + '.mail'))
                    path = self.path('cur', fresh + '.mail')
                if not (self.is_envelope(self.path('cur', fresh + '.done')) or all(regular(self.path('cur', fresh + s)) for s in ('.envelope', '.eml'))):
                    self.verify(f, path)
                    self.build(data, fresh)
                self.sync('cur')
                os.unlink(path)
                return fresh
        except (Later, FileNotFoundError):
            return None
        except (Malformed, Odd) as e:
            free = self.free_in_bad(ident)
            move(path, self.path('bad', free + '.mail'))
            write_new(self.path('bad', free + '.envelope'), f'Set-Aside: {self.reason_line(e)}\n'.encode())
            self.sync('bad', box)
            return None

    def one_name(self, box, path, ident):
        """B, for a drop; tells whether it keeps this name."""
        other = 'new' if box == 'cur' else 'cur'
        for name in os.listdir(self.path(other)):
            if name.endswith('.mail') and same(path, self.path(other, name)):
                os.unlink(self.path('new', name) if box == 'cur' else path)
                if box == 'new':
                    return False
        for name in itertools.takewhile(self.used_in_bad, self.bad_names(ident)):
            aside = self.path('bad', name + '.mail')
            if same(path, aside):
                os.unlink(aside)
                self.sync('bad')
        return True

    def is_envelope(self, path):
        try:
            data = self.read(path)
            return data is not None and bool(parse_envelope(data))
        except (Malformed, Odd):
            return False

    def build(self, data, fresh):
        eml, envelope = self.path('cur', fresh + '.eml'), self.path('cur', fresh + '.envelope')
        for part in (eml, envelope):
            try:
                if os.path.lexists(part):
                    remove(part)
            except Later:  # a directory with something in it
                self.aside_odd(fresh, 'cur', part[part.rindex('.'):])
        self.remove_stale(self.path('cur', fresh + '.done'))
        now = datetime.datetime.fromtimestamp(int(self.clock()), datetime.timezone.utc)
        sender, recipients, content = parse_mail(data, now, fresh, socket.gethostname())
        c, e = self.path('tmp', new_id() + '.c'), self.path('tmp', new_id() + '.e')
        write_new(c, content)
        write_new(e, marshal(make_envelope(sender, recipients, content)))
        sync(c)
        sync(e)
        self.sync('new')
        with open(c, 'rb') as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            move(c, eml)
            move(e, envelope)

    def sweep(self):
        """DRAFT"""
        for name in os.listdir(self.path('tmp')):
            with self.one(self.path('tmp', name)):
                st = os.lstat(self.path('tmp', name))
                if self.clock() - st.st_ctime >= HALF_AGE and not stat.S_ISDIR(st.st_mode):
                    os.unlink(self.path('tmp', name))

    def names(self):
        return sorted((b, n) for b in ('new', 'cur', 'bad') for n in os.listdir(self.path(b)))

    def drain(self, agent):
        """One pass; agent(env, content) returns True when it took the message. Tells whether anything was done."""
        before = self.names()
        self.sweep()
        for box in ('cur', 'new'):
            for name in sorted(os.listdir(self.path(box))):
                if split_name(name)[1] == '.mail':
                    with self.one(name, quiet=Later):
                        self.take_drop(box, split_name(name)[0])
        for ident in sorted({split_name(n)[0] for b, n in self.names() if b != 'bad' and split_name(n)[0]}):
            with self.one(ident, quiet=Later):
                deferred = self.has('cur', ident + '.envelope')
                f = self.claim(ident)
                if f:
                    with f:
                        self.deliver(ident, f, agent, deferred)
        self.end()
        return self.names() != before

    def deliver(self, ident, f, agent, deferred):
        try:
            env, content, was = self.load(ident, f)
        except Malformed as e:
            self.set_aside(ident, e)
            return
        if deferred and 0 < os.stat(self.path('cur', ident + '.envelope')).st_mtime - self.clock() <= LONGEST_WAIT:
            return
        if all(r['outcome'] for r in env['recipients']) or agent(env, content):
            failed = [r for r in env['recipients'] if r['outcome'] and r['outcome']['status'] == 'failed']
            if failed:  # 9.3: nobody told the sender
                self.record(ident, self.with_outcomes(env), was)
                self.set_aside(ident, f'{len(failed)} recipients failed for good')
            else:
                self.finish(ident)

    def with_outcomes(self, env):
        pending = dict.fromkeys(r['address'] for r in env['recipients'] if not r['outcome'])
        return marshal({'fields': env['fields'] + [['Delivered', f'<{a}> {now_text(self.clock())}'] for a in pending]})


# The vectors, as their README says

VECTOR_TIME, VECTOR_ID, VECTOR_HOST = datetime.datetime(2026, 11, 23, 20, 4, 13, tzinfo=datetime.timezone.utc), 'drop', 'mail.example.com'


def run_vector(v, base):
    def file():
        with open(os.path.join(base, v['file']), 'rb') as f:
            data = f.read()
        if 'repeat' in v:
            lines = data.splitlines(keepends=True)
            lines[v['repeat'][0] - 1] *= v['repeat'][1]
            data = b''.join(lines)
        return data
    known = {'name', 'kind', 'valid', 'id', 'file', 'value', 'sender', 'recipients', 'content', 'repeat', 'why'}
    if set(v) - known:
        return 'unknown keys ' + ' '.join(set(v) - known)
    if v['kind'] == 'id':
        return None if valid_id(v['id']) == v['valid'] else 'verdict'
    if v['kind'] == 'tree':
        return run_tree(json.loads(file()))
    try:
        got = parse_envelope(file()) if v['kind'] == 'envelope' else parse_mail(file(), VECTOR_TIME, VECTOR_ID, VECTOR_HOST)
    except Malformed as e:
        return f'refused: {e}' if v['valid'] else None
    if not v['valid']:
        return 'accepted'
    if v['kind'] == 'envelope':
        if marshal(got) != file():
            return 'not the same when written again'
        return None if 'repeat' in v or got == v['value'] else f'value {json.dumps(got)}'
    with open(os.path.join(base, v['content']), 'rb') as f:
        return None if got == (v['sender'], v['recipients'], f.read()) else f'{got}'


def make_tree(top, entries, now):
    import base64
    for e in entries:
        path = os.path.join(top, e['path'])
        kind = e.get('type', 'file')
        if 'same_as' in e:
            os.link(os.path.join(top, e['same_as']), path)
        elif kind == 'dir':
            os.makedirs(path)
        elif kind == 'fifo':
            os.mkfifo(path)
        elif kind == 'symlink':
            os.symlink(e['to'], path)
        elif not os.path.lexists(path):
            with open(path, 'wb') as f:
                f.write(base64.b64decode(e['base64']) if 'base64' in e else e.get('text', '').encode())
        if 'ahead' in e:
            os.utime(path, (0, now + 60 * e['ahead']))
        if 'mode' in e:
            os.chmod(path, int(e['mode'], 8))


def run_tree(tree):
    import tempfile
    with tempfile.TemporaryDirectory() as top:
        ahead = [0]
        # root may read everything, and must not here
        log = []
        spool = Spool(top, lambda: time.time() + ahead[0], lambda path: os.lstat(path).st_mode & 0o400 != 0, log.append)
        ahead[0] = 3600 * max((e.get('hours', 0) for e in tree['before']), default=0)
        make_tree(top, tree['before'], spool.clock())
        delivered = []

        def agent(env, content):
            rcpts = list(dict.fromkeys(r['address'] for r in env['recipients'] if not r['outcome']))
            delivered.append({'sender': env['sender']['address'], 'recipients': rcpts, 'content': content.decode()})
            return True
        while spool.drain(agent):
            pass
        if 'minutes' in tree or 'then' in tree:
            ahead[0] += 60 * tree.get('minutes', 0)
            make_tree(top, tree.get('then', []), spool.clock())
            while spool.drain(agent):
                pass

        def order(x):
            return json.dumps(x, sort_keys=True)
        if sorted(delivered, key=order) != sorted(tree['delivered'], key=order):
            return f'delivered {delivered}, logged {log}'
        trouble = compare_tree(top, tree['after'])
        return trouble and f'{trouble}, logged {log}'


def compare_tree(top, after):
    left = [(b, n) for b in ('tmp', 'new', 'cur', 'bad') for n in os.listdir(os.path.join(top, b))]
    for e in after:
        pattern = re.escape(e['path']).replace(r'\*', '.+')
        hit = next((x for x in left if re.fullmatch(pattern, '/'.join(x))), None)
        if hit is None:
            return f'{e["path"]} is not there, but {left}'
        left.remove(hit)
        path = os.path.join(top, *hit)
        kind = {stat.S_IFREG: 'file', stat.S_IFDIR: 'dir', stat.S_IFIFO: 'fifo', stat.S_IFLNK: 'symlink'}[stat.S_IFMT(os.lstat(path).st_mode)]
        if kind != e.get('type', 'file'):
            return f'{e["path"]} is a {kind}'
        if 'text' in e:
            with open(path, 'rb') as f:
                if f.read() != e['text'].encode():
                    return f'{e["path"]} has another text'
    return f'left: {left}' if left else None


def run_vectors(base):
    with open(os.path.join(base, 'index.json'), encoding='utf-8') as f:
        index = json.load(f)
    failed = 0
    for v in index:
        trouble = run_vector(v, base)
        if trouble:
            failed += 1
            print(f'{v["name"]}: {trouble}')
    print(f'{len(index) - failed} passed, {failed} failed')
    return 1 if failed or not index else 0


def check(files):
    code = 0
    for path in files:
        try:
            with open(path, 'rb') as f:
                if path.endswith('.mail'):
                    parse_mail(f.read(), VECTOR_TIME, VECTOR_ID, VECTOR_HOST)
                else:
                    parse_envelope(f.read(MAX_FILE + 1))
        except Malformed as e:
            print(f'{path}: {e}')
            code = 65
    return code


def drain_with(top, command):
    def agent(env, content):
        facts = {'SENDER': env['sender']['address'],
                 'RECIPIENTS': '\n'.join(dict.fromkeys(r['address'] for r in env['recipients'] if not r['outcome']))}
        return subprocess.run(command, input=content, env={**os.environ, **facts}, check=False).returncode == 0
    Spool(top).drain(agent)
    return 0


def main(args):
    if len(args) > 1 and args[0] == 'check':
        return check(args[1:])
    if len(args) > 3 and args[0] == 'feed':
        print(Spool(args[1]).feed(args[2], args[3:], sys.stdin.buffer.read()))
        return 0
    if len(args) > 2 and args[0] == 'drain':
        return drain_with(args[1], args[2:])
    if len(args) == 2 and args[0] == 'vectors':
        return run_vectors(args[1])
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
