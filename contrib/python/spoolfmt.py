#!/usr/bin/env python3
"""Reads, feeds and drains spools as SPOOL-FORMAT.md, version 1, describes them.

A second implementation, written from the document alone, with the standard
library alone. Section numbers are those of the document.

    spoolfmt.py check FILE...                      judge envelopes and drops by their names
    spoolfmt.py feed SPOOL SENDER RCPT... <CONTENT  one message into the spool; prints its id
    spoolfmt.py drain SPOOL COMMAND...             run the command for every message that waits
    spoolfmt.py vectors DIR                        run the test vectors of a directory
"""
import datetime, errno, fcntl, hashlib, json, os, re, secrets, stat, subprocess, sys, time

MAX_FILE, MAX_LINE, MAX_RECIPIENTS, MAX_HEADER = 4194304, 4096, 5000, 1048576
ORPHANED, LOOK_AGAIN = 36 * 3600, 60
SUFFIXES = ('.eml', '.envelope', '.mail')


class Malformed(Exception):
    """The message is at fault. line is where, None where it is not one line."""

    def __init__(self, reason, line=None):
        super().__init__(reason)
        self.line = line


class Foreign(Malformed):
    """The envelope is another user's than the content: it stays as it is, so that this can be seen."""


# 3. Ids

def valid_id(s):
    return (re.fullmatch(r'[A-Za-z0-9][A-Za-z0-9._=+-]{0,179}', s) is not None
            and not s.endswith(SUFFIXES + ('.done',)))


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
    plain = re.sub(r'\\(.)', r'\1', local[1:-1]) if local[0] == '"' else local
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
    m = re.match(r'<((?:"(?:\\.|[^"\\])*"|[^">])*)>', value)
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
    if len(params) > 32:
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
    if not m or (status == 'failed' and not m.group(2)) or octets(m.group(2) or '') > 256:
        raise Malformed('bad outcome')
    check_time(m.group(1))
    return address, {'status': status, 'time': m.group(1), 'text': m.group(2) or ''}


def parse_envelope(data):
    """Returns the value of 5.6, or raises Malformed."""
    if len(data) > MAX_FILE:
        raise Malformed('file too long', 1)
    env = {'format': 1, 'sender': None, 'recipients': [], 'size': None, 'fields': []}
    seen, outcomes, number = set(), [], 0
    while True:
        number += 1
        end = data.find(b'\n')
        if (end if end >= 0 else len(data)) >= MAX_LINE:
            raise Malformed('line too long', number)
        if end < 0:
            raise Malformed('no empty line at the end', number)
        line, data = data[:end], data[end + 1:]
        if not line:
            break
        try:
            parse_field(env, line.decode(), seen, outcomes, number)
        except UnicodeDecodeError:
            raise Malformed('not UTF-8', number) from None
        except Malformed as e:
            raise Malformed(str(e), number) from None
    if data:
        raise Malformed('text after the empty line', number + 1)
    for address, outcome, at in outcomes:
        mine = [r for r in env['recipients'] if r['address'] == address]
        if not mine or mine[0]['outcome']:
            raise Malformed('outcome of no recipient, or a second one', at)
        for r in mine:
            r['outcome'] = outcome
    for what in ('sender', 'recipients', 'size'):
        if env[what] in (None, []):
            raise Malformed('no ' + what, number)
    ours = [f for f in env['fields'] if f[0].lower() not in DRAINERS]
    if len(ours) - len(env['recipients']) > 1000:
        raise Malformed('too many fields', number)
    room = sum(octets(r['address']) + 320 for r in env['recipients'])
    if len(marshal({'fields': ours})) + 4096 + room > MAX_FILE:
        raise Malformed('no room for the outcomes', number)
    return env


def parse_field(env, line, seen, outcomes, number):
    name, colon, value = line.partition(': ')
    if not colon or not re.fullmatch(r'[A-Za-z][A-Za-z0-9-]{0,63}', name):
        raise Malformed('not a field')
    if not value or value != value.strip(' ') or BAD_TEXT.search(value):
        raise Malformed('bad value')
    key = name.lower()
    if (number == 1) != (key == 'spool-format') or (number == 1 and value != '1'):
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
    elif key == 'sha256' and not re.fullmatch(r'[0-9a-f]{64}', value):
        raise Malformed('bad SHA256')
    elif key == 'crc32c' and not re.fullmatch(r'[0-9a-f]{8}', value):
        raise Malformed('bad CRC32C')
    elif key in ('last-error', 'set-aside') and octets(value) > 1200:
        raise Malformed('too long')
    elif key in ('received-at', 'next-attempt', 'requeued-at'):
        check_time(value)
    elif key == 'set-aside':
        if not re.fullmatch(r'[^ ]+ [^ ].*', value):
            raise Malformed('no reason')
        check_time(value.split(' ')[0])
    elif key in ('delivered', 'failed'):
        outcomes.append((*parse_outcome(key, value), number))
    env['fields'].append([name, value])


def marshal(env):
    return ''.join(f'{n}: {v}\n' for n, v in env['fields']).encode() + b'\n'


def make_envelope(sender, recipients, content):
    fields = [['Spool-Format', '1'], ['Sender', f'<{sender}>']]
    fields += [['Recipient', f'<{r}>'] for r in recipients] + [['Size', str(len(content))]]
    return parse_envelope(marshal({'fields': fields}))


def now_text(now):
    return datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%S.%fZ')


# 6. The single-file drop

def parse_mail(data):
    """Returns sender, recipients and content, or raises Malformed."""
    ends, crs, pairs = data.count(b'\n'), data.count(b'\r'), data.count(b'\r\n')
    if b'\0' in data or crs and not ends == crs == pairs:
        raise Malformed('NUL, or lines that end in different ways')
    data = data.replace(b'\r\n', b'\n')
    fields, kept, dropping, at, size = [], [], False, 0, 0
    lines = data.splitlines(keepends=True) if b'\n' in data else [data] if data else []
    lines = re.findall(rb'[^\n]*\n|[^\n]+', data)
    for at, line in enumerate(lines, 1):
        text = line.rstrip(b'\n')
        size += len(line) + (crs and line.endswith(b'\n'))
        if size > MAX_HEADER:
            raise Malformed('header too long', at)
        if not text:
            kept += lines[at - 1:]
            break
        if at == 1 and text.startswith(b'From '):
            continue
        if text[:1] in (b' ', b'\t'):
            if not fields:
                raise Malformed('continuation of nothing', at)
            fields[-1][1] += text
        else:
            m = re.match(rb'([!-9;-~]+)[ \t]*:', text)
            if not m:
                raise Malformed('not a header field', at)
            name = m.group(1).decode().lower()
            fields.append([name, text[m.end():], at])
            dropping = name in ('return-path', 'bcc', 'resent-bcc')
        if not dropping:
            kept.append(line)
    content = b''.join(kept)
    if content and not content.endswith(b'\n'):
        content += b'\n'
    return (*addresses_of(fields), content)


def addresses_of(fields):
    def named(name):
        return [(value, at) for n, value, at in fields if n == name]
    prefix = 'resent-' if any(named('resent-' + n) for n in ('to', 'cc', 'bcc')) else ''
    recipients = []
    for n in ('to', 'cc', 'bcc'):
        for value, at in named(prefix + n):
            recipients += [a for a in address_list(value, at) if a not in recipients]
    senders = ['return-path'] + ['resent-sender', 'resent-from'] * bool(prefix) + ['sender', 'from']
    found = next((named(n)[0] + (n,) for n in senders if named(n)), None)
    if found is None:
        raise Malformed('no sender')
    value, at, name = found
    if name == 'return-path' and value.strip(b' \t') == b'<>':
        sender = ''
    else:
        sender = next(iter(address_list(value, at)), None)
        if sender is None:
            raise Malformed('no address of a sender', at)
    if not recipients or len(recipients) > MAX_RECIPIENTS:
        raise Malformed('no recipient, or too many')
    return sender, recipients


TOKEN = re.compile(r'(?P<blank>[ \t]+)|(?P<word>"(?:\\.|[^"\\])*"|\[[^\]]*\]|[^ \t(<,:;"\[>\])\\]+)|(?P<mark>[(<,:;])', re.S)


def address_list(value, at):
    try:
        # What stands around the addresses may be in any character set.
        found = read_list(value.decode(errors='surrogateescape'))
        ''.join(found).encode()
        return found
    except UnicodeEncodeError:
        raise Malformed('address is not UTF-8', at) from None
    except Malformed as e:
        raise Malformed(str(e), at) from None


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


# 2.3 to 13: files

def move(a, b):
    """Never replaces: link, then unlink."""
    try:
        os.link(a, b, follow_symlinks=False)
    except FileExistsError:
        if not (os.path.lexists(a) and os.path.samestat(os.lstat(a), os.lstat(b))):
            raise
    except OSError as e:
        if e.errno not in (errno.EPERM, errno.EISDIR) or os.path.lexists(b):
            raise
        os.rename(a, b)  # a directory, which has no second name; b was free a moment ago
        return
    os.unlink(a)


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
        f.flush()
        os.fsync(fd)


class Spool:
    def __init__(self, top, clock=time.time):
        self.top, self.clock, self.alone = top, clock, {}
        for box in ('tmp', 'new', 'cur', 'bad'):
            os.makedirs(self.path(box), mode=0o700, exist_ok=True)

    def path(self, box, name=''):
        return os.path.join(self.top, box, name)

    def has(self, box, name):
        return os.path.lexists(self.path(box, name))

    def feed(self, sender, recipients, content):
        """8.1; returns the id."""
        env = make_envelope(sender, recipients, content)
        private = new_id()
        c, e = self.path('tmp', private + '.c'), self.path('tmp', private + '.e')
        write_new(c, content)
        write_new(e, marshal(env))
        with open(c, 'rb') as held:
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
                except FileExistsError:
                    move(self.path('new', ident + '.eml'), c)
                    continue
                fcntl.flock(held, fcntl.LOCK_UN)
                sync(self.path('new'))
                return ident

    def lasts(self, key):
        """Tells whether what is seen now was seen a minute ago."""
        return self.clock() - self.alone.setdefault(key, self.clock()) >= LOOK_AGAIN

    def locked(self, box, name):
        """9.1 steps 1 to 3: a locked, verified file; None to look again; Malformed for what is no file."""
        f = self.locked_file(self.path(box, name))
        return f and self.one_name(f, box, split_name(name)[1])

    def locked_file(self, path):
        try:
            if not stat.S_ISREG(os.lstat(path).st_mode):
                raise Malformed('not a regular file')
            flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            try:
                fd = os.open(path, os.O_RDWR | flags)
            except PermissionError:  # another user's, whom our group lets read
                fd = os.open(path, os.O_RDONLY | flags)
        except FileNotFoundError:
            return None
        except PermissionError:
            raise Malformed('cannot be read') from None
        f = os.fdopen(fd, 'rb')
        try:
            fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.lstat(path)):
                return f
        except (BlockingIOError, FileNotFoundError):
            pass
        f.close()
        return None

    def one_name(self, f, box, kind):
        """10.3"""
        st = os.fstat(f.fileno())
        if st.st_nlink == 1:
            return f
        if not self.lasts(('links', st.st_ino)):
            f.close()
            return None
        boxes = ('tmp', 'new', 'cur')
        for other in boxes[:boxes.index(box)]:
            self.unlink_same(other, st)
        if box == 'new' and kind == '.mail' and self.same_in('cur', st, '.mail'):
            self.unlink_same('new', st)  # it is being made into a message from cur
            f.close()
            return None
        for name in self.same_in('bad', st, kind):
            self.name_in_bad(name, kind)
        return f

    def same_in(self, box, st, kind):
        return [n for n in os.listdir(self.path(box))
                if n.endswith(kind) and os.path.samestat(os.lstat(self.path(box, n)), st)]

    def unlink_same(self, box, st):
        for name in self.same_in(box, st, ''):
            os.unlink(self.path(box, name))

    def name_in_bad(self, name, kind):
        """A move to bad, or back, that was cut short."""
        ident = split_name(name)[0]
        path, env = self.path('bad', name), self.path('bad', ident + '.envelope')
        if kind == '.mail' or not os.path.lexists(env):
            os.unlink(path)
            if kind == '.mail' and os.path.lexists(env):
                os.unlink(env)
            return
        st = os.lstat(env)
        if self.same_in('new', st, '.envelope'):
            os.unlink(env)
            os.unlink(path)
        else:
            self.unlink_same('cur', st)

    def claim(self, ident):
        """9.1, 10.1: the locked content, or None. Malformed: the envelope is in cur, without a content that can be locked."""
        for box in ('cur', 'new'):
            try:
                f = self.locked(box, ident + '.eml')
            except Malformed as e:
                if self.take_odd(box, ident):
                    raise e
                continue
            if f and self.bring_to_cur(box, ident):
                return f
            if f:
                f.close()
        for box in ('cur', 'new'):
            env = self.is_alone(box, ident)
            if env and self.lasts(('alone', env.st_ino)):
                self.aside_alone(box, ident, env)
        return None

    def is_alone(self, box, ident):
        """10.1: the envelope's status, when there is no content: looked at in this order."""
        if box == 'cur' and self.has('cur', ident + '.mail'):
            return None  # 10.2
        if self.has('new', ident + '.eml') or self.has('cur', ident + '.eml'):
            return None
        try:
            return os.lstat(self.path(box, ident + '.envelope'))
        except FileNotFoundError:
            return None

    def aside_alone(self, box, ident, seen):
        """10.1: straight to bad, under the envelope's own lock where it is a file."""
        path, held = self.path(box, ident + '.envelope'), None
        try:
            held = self.locked_file(path)
            if held is None:
                return
        except Malformed:
            pass
        try:
            now = self.is_alone(box, ident)
            if now is None or not os.path.samestat(now, seen):
                return
            if now.st_nlink > 1 and self.older_envelope(box, ident, now):
                return
            name = self.free_in_bad(ident) + '.envelope'
            move(path, self.path('bad', name))
            for b in ('bad', 'new', 'cur'):
                sync(self.path(b))
            if held:
                reason = f'{now_text(self.clock())} envelope without content'
                data = self.with_reason(held.read(MAX_FILE + 1), reason)
                if data:
                    self.replace('bad', name, data)
        finally:
            if held:
                held.close()

    def older_envelope(self, box, ident, st):
        """10.3: removes the older name of a lone envelope; tells whether it was the one in box."""
        name = ident + '.envelope'
        others = [self.path('bad', n) for n in os.listdir(self.path('bad'))]
        if box == 'new':
            others.append(self.path('cur', name))
        if any(os.path.lexists(o) and os.path.samestat(os.lstat(o), st) for o in others):
            os.unlink(self.path(box, name))
            return True
        if box == 'cur' and self.has('new', name) and os.path.samestat(os.lstat(self.path('new', name)), st):
            os.unlink(self.path('new', name))
        return False

    def take_odd(self, box, ident):
        """11.2: the envelope's move decides."""
        try:
            if box == 'new' and not self.has('cur', ident + '.eml'):
                move(self.path('new', ident + '.envelope'), self.path('cur', ident + '.envelope'))
        except (FileNotFoundError, FileExistsError):
            return False
        return self.has('cur', ident + '.envelope')

    def bring_to_cur(self, box, ident):
        eml, env = ident + '.eml', ident + '.envelope'
        try:
            if box == 'new':
                if self.has('cur', eml):
                    return False
                if not self.has('cur', env):
                    move(self.path('new', env), self.path('cur', env))
                move(self.path('new', eml), self.path('cur', eml))
                return True
            if self.has('cur', ident + '.mail'):
                return False
            if self.has('cur', env):
                new = self.path('new', env)
                if os.path.lexists(new) and os.path.samestat(os.lstat(new), os.lstat(self.path('cur', env))):
                    os.unlink(new)  # 10.3
                return True
            if self.has('new', env) and not self.has('new', eml):
                move(self.path('new', env), self.path('cur', env))
                return True
            sync(self.path('new'))  # 10.1: delivered already
            sync(self.path('cur'))
            os.unlink(self.path('cur', eml))
        except (FileNotFoundError, FileExistsError):
            pass
        return False

    def load(self, ident, f):
        """9.3: envelope and content."""
        path = self.path('cur', ident + '.envelope')
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise Malformed('envelope is not a regular file')
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), 'rb') as e:
            st = os.fstat(e.fileno())
            env = parse_envelope(e.read(MAX_FILE + 1))
        if st.st_nlink > 1:
            self.unlink_same('bad', st)  # 10.3
        if st.st_uid not in (os.fstat(f.fileno()).st_uid, os.stat(self.path('new')).st_uid, 0):
            raise Foreign('envelope and content belong to different users')
        f.seek(0)
        content = f.read()
        if os.fstat(f.fileno()).st_nlink > 1:
            raise Malformed('content has a second name')
        if len(content) != env['size']:
            raise Malformed('content does not have Size octets')
        want = next((v for n, v in env['fields'] if n.lower() == 'sha256'), None)
        if want and hashlib.sha256(content).hexdigest() != want:
            raise Malformed('content does not have that SHA256')
        if b'\r' in content or b'\0' in content:
            raise Malformed('CR or NUL in the content')
        return env, content

    def record(self, ident, data, when=None):
        """9.4"""
        sync(self.path('new'))
        sync(self.path('cur'))
        self.replace('cur', ident + '.envelope', data, when)

    def replace(self, box, name, data, when=None):
        private, final = self.path('tmp', new_id() + '.r'), self.path(box, name)
        write_new(private, data)
        if when is not None:
            os.utime(private, (when, when))
        os.stat(final, follow_symlinks=False)  # it must still be there
        os.rename(private, final)
        sync(self.path(box))

    def finish(self, ident):
        """9.5"""
        os.unlink(self.path('cur', ident + '.envelope'))
        sync(self.path('new'))
        sync(self.path('cur'))
        os.unlink(self.path('cur', ident + '.eml'))

    def free_in_bad(self, ident):
        names = [ident] + [f'{ident[:170]}.{n}' for n in range(1, 1000)]
        return next(n for n in names if not any(self.has('bad', n + s) for s in SUFFIXES))

    def with_reason(self, data, line):
        """An envelope with Set-Aside in it; None where that is more than an envelope may be."""
        try:
            env = parse_envelope(data)
            env['fields'] = [x for x in env['fields'] if x[0].lower() != 'set-aside'] + [['Set-Aside', line]]
            return marshal(env)
        except Malformed:
            return f'Set-Aside: {line}\n'.encode() + data if len(data) <= MAX_FILE else None

    def set_aside(self, ident, reason):
        """9.6"""
        path = self.path('cur', ident + '.envelope')
        line = f'{now_text(self.clock())} {BAD_TEXT.sub("?", str(reason))}'
        if stat.S_ISREG(os.lstat(path).st_mode) and not isinstance(reason, Foreign):
            with open(path, 'rb') as f:
                data = self.with_reason(f.read(MAX_FILE + 1), line)
            if data:
                self.record(ident, data)
        name, eml = self.free_in_bad(ident), self.path('cur', ident + '.eml')
        regular = os.path.lexists(eml) and stat.S_ISREG(os.lstat(eml).st_mode)
        if regular:
            try:
                os.link(eml, self.path('bad', name + '.eml'))
            except PermissionError:  # another user's
                with open(eml, 'rb') as f:
                    private = self.path('tmp', new_id() + '.a')
                    write_new(private, f.read())
                move(private, self.path('bad', name + '.eml'))
            sync(self.path('bad'))
        move(path, self.path('bad', name + '.envelope'))
        sync(self.path('bad'))
        sync(self.path('cur'))
        if regular:
            os.unlink(eml)
        for box in ('cur', 'new'):
            odd = self.path(box, ident + '.eml')
            if os.path.lexists(odd) and not stat.S_ISREG(os.lstat(odd).st_mode):
                move(odd, self.path('bad', name + '.eml'))

    def take_drop(self, box, ident):
        """6.3, 10.2: the id of the message that the drop became, None to look again."""
        name = ident + '.mail'
        try:
            f = self.locked(box, name)
            if f is None:
                return None
            with f:
                fresh = ident
                if box == 'new':
                    fresh = new_id()
                    move(self.path('new', name), self.path('cur', fresh + '.mail'))
                if not (self.has('cur', fresh + '.envelope') and self.has('cur', fresh + '.eml')):
                    self.build(f, fresh)
                sync(self.path('cur'))
                os.unlink(self.path('cur', fresh + '.mail'))
                return fresh
        except Malformed as e:
            stands = self.path(box, name) if self.has(box, name) else self.path('cur', fresh + '.mail')
            free = self.free_in_bad(ident)
            move(stands, self.path('bad', free + '.mail'))
            write_new(self.path('bad', free + '.envelope'), f'Set-Aside: {now_text(self.clock())} {e}\n'.encode())
            return None

    def build(self, f, fresh):
        eml, envelope = self.path('cur', fresh + '.eml'), self.path('cur', fresh + '.envelope')
        for half in (eml, envelope):
            if os.path.lexists(half):
                os.unlink(half)
        f.seek(0)
        if os.fstat(f.fileno()).st_nlink > 1:
            raise Malformed('drop has a second name')
        sender, recipients, content = parse_mail(f.read())
        env = make_envelope(sender, recipients, content)
        private = new_id()
        c, e = self.path('tmp', private + '.c'), self.path('tmp', private + '.e')
        write_new(c, content)
        write_new(e, marshal(env))
        sync(self.path('new'))
        with open(c, 'rb') as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            move(c, eml)
            move(e, envelope)

    def sweep(self):
        """10.4, and what in cur has no envelope."""
        def old(path):
            return self.clock() - os.lstat(path).st_ctime >= ORPHANED
        for name in os.listdir(self.path('tmp')):
            if old(self.path('tmp', name)) and not os.path.isdir(self.path('tmp', name)):
                os.unlink(self.path('tmp', name))
        for name in os.listdir(self.path('new')):
            ident, kind = split_name(name)
            known = ident and any(self.has(b, ident + '.envelope') for b in ('new', 'cur', 'bad'))
            if kind == '.eml' and not known and old(self.path('new', name)):
                self.aside_orphan(name, ident)
        for name in os.listdir(self.path('cur')):
            ident, kind = split_name(name)
            if kind == '.eml' and not self.has('cur', ident + '.envelope'):
                f = self.claim(ident)
                if f:
                    f.close()

    def aside_orphan(self, name, ident):
        path = self.path('new', name)
        try:
            held = self.locked_file(path)
            if held is None:
                return
        except Malformed:
            held = None
        try:
            st = os.lstat(path)
            if any(self.has(b, ident + '.envelope') for b in ('new', 'cur', 'bad')) or not self.lasts(('orphan', st.st_ino)):
                return
            move(path, self.path('bad', self.free_in_bad(ident) + '.eml'))
            sync(self.path('bad'))
            sync(self.path('new'))
        finally:
            if held:
                held.close()

    def drain(self, agent):
        """One pass; agent(env, content) returns True when it took the message. Tells whether anything was done."""
        done = False
        self.sweep()
        for box in ('new', 'cur'):
            for name in sorted(os.listdir(self.path(box))):
                if split_name(name)[1] == '.mail':
                    done = self.take_drop(box, split_name(name)[0]) is not None or done
        names = {n for b in ('new', 'cur') for n in os.listdir(self.path(b))}
        for ident in sorted(split_name(n)[0] for n in names if split_name(n)[1] == '.envelope'):
            try:
                f = self.claim(ident)
            except Malformed as e:
                self.set_aside(ident, e)
                done = True
                continue
            if f is None:
                continue
            with f:
                done = self.deliver(ident, f, agent) or done
        return done

    def deliver(self, ident, f, agent):
        try:
            env, content = self.load(ident, f)
        except Malformed as e:
            self.set_aside(ident, e)
            return True
        if all(r['outcome'] for r in env['recipients']) or agent(env, content):
            self.finish(ident)
            return True
        return False


# 15. Conformance

def run_vector(v, base):
    def file():
        with open(os.path.join(base, v['file']), 'rb') as f:
            return f.read()
    known = {'name', 'kind', 'valid', 'id', 'file', 'line', 'value', 'sender', 'recipients', 'content', 'why'}
    if set(v) - known:
        return 'unknown keys ' + ' '.join(set(v) - known)
    if v['kind'] == 'id':
        return None if valid_id(v['id']) == v['valid'] else 'verdict'
    if v['kind'] == 'tree':
        return run_tree(json.loads(file()))
    try:
        got = parse_envelope(file()) if v['kind'] == 'envelope' else parse_mail(file())
    except Malformed as e:
        if v['valid']:
            return f'refused: {e}'
        return None if 'line' not in v or v['line'] == e.line else f'line {e.line}: {e}'
    if not v['valid']:
        return 'accepted'
    if v['kind'] == 'envelope':
        if marshal(got) != file():
            return 'not the same when written again'
        return None if got == v['value'] else f'value {json.dumps(got)}'
    with open(os.path.join(base, v['content']), 'rb') as f:
        return None if got == (v['sender'], v['recipients'], f.read()) else f'{got}'


def make_tree(top, entries):
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
        else:
            with open(path, 'wb') as f:
                f.write(base64.b64decode(e['base64']) if 'base64' in e else e.get('text', '').encode())


def run_tree(tree):
    import tempfile
    with tempfile.TemporaryDirectory() as top:
        clock = [time.time()]
        spool = Spool(top, lambda: clock[0])
        make_tree(top, tree['before'])
        clock[0] += 3600 * max((e.get('hours', 0) for e in tree['before']), default=0)
        delivered = []

        def agent(env, content):
            rcpts = list(dict.fromkeys(r['address'] for r in env['recipients'] if not r['outcome']))
            delivered.append({'sender': env['sender']['address'], 'recipients': rcpts, 'content': content.decode()})
            return True
        for later in ([0, 60 * tree['minutes']] if 'minutes' in tree else [0]):
            clock[0] += later
            while spool.drain(agent):
                pass
        def order(x):
            return json.dumps(x, sort_keys=True)
        if sorted(delivered, key=order) != sorted(tree['delivered'], key=order):
            return f'delivered {delivered}'
        return compare_tree(top, tree['after'])


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
                parse_mail(f.read()) if path.endswith('.mail') else parse_envelope(f.read(MAX_FILE + 1))
        except Malformed as e:
            print(f'{path}:{e.line or 0}: {e}')
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
