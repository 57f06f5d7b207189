#!/usr/bin/env python3
"""Writes testdata/vectors from the lists below. The verdicts stand here, beside the inputs, and come from
SPOOL-FORMAT.md; no implementation is asked.

    make-vectors.py DIR
"""
import json, os, sys

INDEX, BASE = [], ''


def put(kind, name, data, suffix, **facts):
    path = f'{kind}/{name}{suffix}'
    os.makedirs(os.path.join(BASE, kind), exist_ok=True)
    with open(os.path.join(BASE, path), 'wb') as f:
        f.write(data if isinstance(data, bytes) else data.encode())
    INDEX.append({'name': f'{kind}-{name}', 'kind': kind, 'file': path, **facts})


# Ids

def ids():
    good = ['a', '0', '20261123T200413.123456Z-7f3a9c1e2b4d5e6f', 'A.b_c=d+e-f', 'a.', 'x.emls', 'a.eml.x',
            'z' * 180, 'envelope', 'a.EML', 'done', 'a.DONE', 'a.done.x']
    bad = ['', '.a', '-a', '_a', 'a b', 'a/b', '../a', 'a\n', 'a\x00', 'ä', 'a,b', 'a.eml', 'a.envelope', 'a.mail', 'a.done',
           'z' * 181, 'a:2,S', 'a~', '+a', '=a']
    for n, s in enumerate(good):
        INDEX.append({'name': f'id-good-{n}', 'kind': 'id', 'id': s, 'valid': True})
    for n, s in enumerate(bad):
        INDEX.append({'name': f'id-bad-{n}', 'kind': 'id', 'id': s, 'valid': False})


# Envelopes

def envelope(name, text, why):
    put('envelope', name, text, '.envelope', valid=False, why=why)


def valid(name, lines, why, sender=('', []), recipients=(), size=1):
    fields = [list(x.split(': ', 1)) for x in lines]
    value = {'format': 1, 'sender': {'address': sender[0], 'params': sender[1]},
             'recipients': [{'address': r[0], 'params': r[1] if len(r) > 1 else [],
                             'outcome': r[2] if len(r) > 2 else None} for r in recipients],
             'size': size, 'fields': fields}
    put('envelope', name, ''.join(x + '\n' for x in lines) + '\n', '.envelope', valid=True, value=value, why=why)


F, S, R, Z = 'Spool-Format: 1', 'Sender: <a@example.com>', 'Recipient: <b@example.org>', 'Size: 1'
SA, RB = ('a@example.com', []), [('b@example.org',)]
TIME = '2026-11-23T20:04:13.123456Z'


def good_envelopes():
    valid('minimal', [F, S, R, Z], 'the four required fields', SA, RB)
    valid('order', [F, Z, R, S], 'the order after Spool-Format is free', SA, RB)
    valid('case', ['spool-format: 1', 'SENDER: <a@example.com>', 'recipient: <b@example.org>', 'sIZE: 1'],
          'names in any case, kept as they are', SA, RB)
    valid('null-sender', [F, 'Sender: <>', R, Z], 'the null sender', ('', []), RB)
    valid('params', [F, 'Sender: <a@example.com> BODY=8BITMIME RET=hdrs ENVID=x+2B1 SMTPUTF8',
                     'Recipient: <b@example.org> NOTIFY=success,DELAY ORCPT=rfc822;b+2Bx@example.org', Z], 'known parameters',
          ('a@example.com', [['BODY', '8BITMIME'], ['RET', 'hdrs'], ['ENVID', 'x+2B1'], ['SMTPUTF8', None]]),
          [('b@example.org', [['NOTIFY', 'success,DELAY'], ['ORCPT', 'rfc822;b+2Bx@example.org']])])
    valid('unknown-params', [F, 'Sender: <> X-A X-B=c;d', R, Z], 'unknown parameters are kept',
          ('', [['X-A', None], ['X-B', 'c;d']]), RB)
    valid('unknown-fields', [F, S, R, 'X-Colour: blue', Z, 'x-colour: red', 'Later: 1 2  3'], 'unknown fields, twice too', SA, RB)
    valid('local-part-alone', [F, 'Sender: <root>', 'Recipient: <operator>', Z], 'addresses of this host',
          ('root', []), [('operator',)])
    valid('quoted', [F, 'Sender: <"a b"@example.com>', 'Recipient: <"x>\\"y@z"@example.org>', Z], 'quoted local parts, with what ends a path elsewhere',
          ('"a b"@example.com', []), [('"x>\\"y@z"@example.org',)])
    valid('literal', [F, 'Sender: <a@[192.0.2.1]>', 'Recipient: <b@[IPv6:2001:db8::1]>', Z], 'address literals',
          ('a@[192.0.2.1]', []), [('b@[IPv6:2001:db8::1]',)])
    valid('utf8', [F, 'Sender: <jürgen@exämple.com> SMTPUTF8', 'Recipient: <用户@例子.广告>', Z, 'Helo: ελλάδα'], 'beyond ASCII',
          ('jürgen@exämple.com', [['SMTPUTF8', None]]), [('用户@例子.广告',)])
    valid('atext', [F, "Sender: <!#$%&'*+-/=?^_`{|}~@example.com>", 'Recipient: <b.c-d_e@x_y.example>', Z], 'every sign of an atom',
          ("!#$%&'*+-/=?^_`{|}~@example.com", []), [('b.c-d_e@x_y.example',)])
    valid('outcomes', [F, S, R, 'Recipient: <c@example.org>', Z, f'Delivered: <b@example.org> {TIME}',
                       f'Failed: <c@example.org> {TIME} no such user', 'Attempts: 2', f'Next-Attempt: {TIME}', 'Last-Error: exit 75'],
          'what a drainer writes', SA,
          [('b@example.org', [], {'status': 'delivered', 'time': TIME, 'text': ''}),
           ('c@example.org', [], {'status': 'failed', 'time': TIME, 'text': 'no such user'})])
    valid('outcome-first', [F, f'Delivered: <b@example.org> {TIME} taken as 1', S, R, Z], 'an outcome before its recipient', SA,
          [('b@example.org', [], {'status': 'delivered', 'time': TIME, 'text': 'taken as 1'})])
    both = {'status': 'delivered', 'time': TIME, 'text': ''}
    valid('same-recipient', [F, S, R, 'Recipient: <b@example.org> NOTIFY=NEVER', Z, f'Delivered: <b@example.org> {TIME}'],
          'one address twice: one outcome for both', SA, [('b@example.org', [], both), ('b@example.org', [['NOTIFY', 'NEVER']], both)])
    valid('session', [F, S, R, Z, 'SHA256: ' + '0123456789abcdef' * 4, f'Received-At: {TIME}', 'Client-Address: 192.0.2.1',
                      'Client-Name: mail.example.com', 'Client-Ident: joe', 'Helo: mail', 'Protocol: ESMTPS', 'TLS: TLSv1.3 with cipher X'],
          'what smap writes', SA, RB)
    valid('crc32c', [F, S, R, Z, 'CRC32C: e3069283'], 'eight digits', SA, RB)
    valid('requeued', [F, S, R, Z, f'Requeued-At: {TIME}'], 'requeued once', SA, RB)
    valid('times', [F, S, R, Z, 'Received-At: 2024-02-29T23:59:59Z', 'Next-Attempt: 2026-01-01T00:00:00.1Z'], 'leap day, fractions', SA, RB)
    valid('set-aside', [F, S, R, Z, f'Set-Aside: {TIME} user unknown'], 'set aside with its reason', SA, RB)
    valid('size-zero', [F, S, R, 'Size: 0'], 'an empty content', SA, RB, 0)
    valid('size-largest', [F, S, R, 'Size: ' + '9' * 18], '18 digits', SA, RB, int('9' * 18))
    valid('line-limit', [F, S, R, Z, 'X: ' + 'y' * (4096 - 4)], 'a line of exactly 4096 octets with its LF', SA, RB)
    valid('name-limit', [F, S, R, Z, 'N' * 64 + ': y'], 'a name of 64', SA, RB)
    long = 'a' * 256 + '@' + '.'.join(['b' * 63] * 3 + ['c' * 63])
    valid('address-limit', [F, S, f'Recipient: <{long}>', Z], 'local part of 256, domain of 255, labels of 63, address of 512', SA, [(long,)])
    valid('outcome-text-limit', [F, S, R, Z, f'Failed: <b@example.org> {TIME} ' + 'x' * 256], 'a text of 256', SA,
          [('b@example.org', [], {'status': 'failed', 'time': TIME, 'text': 'x' * 256})])
    valid('last-error-limit', [F, S, R, Z, 'Last-Error: ' + 'x' * 1200], 'a text of 1 200', SA, RB)
    valid('aside-limit', [F, S, R, Z, f'Set-Aside: {TIME} ' + 'x' * (1200 - len(TIME) - 1)], 'time and text of 1 200', SA, RB)
    valid('literal-question', [F, S, 'Recipient: <b@[x?y=z]>', Z], 'a literal with ? and =', SA, [('b@[x?y=z]',)])
    valid('quoted-quote', [F, S, 'Recipient: <"\\"|x"@example.org>', Z], 'an escaped quote, and only the outer quotes are removed', SA,
          [('"\\"|x"@example.org',)])
    host = '[' + 'x' * 300 + ']'
    valid('literal-long', [F, S, f'Recipient: <b@{host}>', Z], "a literal longer than a domain", SA, [(f'b@{host}',)])
    valid('year-zero', [F, S, R, Z, 'Received-At: 0000-02-29T00:00:00Z'], 'the first year is a leap year', SA, RB)
    valid('params-case', [F, 'Sender: <> body=8bitmime smtputf8', 'Recipient: <b@example.org> Notify=never', Z], 'keywords are shown as they are spelled',
          ('', [['body', '8bitmime'], ['smtputf8', None]]), [('b@example.org', [['Notify', 'never']])])
    valid('orcpt-utf8-case', [F, S, 'Recipient: <b@example.org> ORCPT=UTF-8;bü@example.org', Z], 'RFC 6533, in any case', SA,
          [('b@example.org', [['ORCPT', 'UTF-8;bü@example.org']])])
    valid('params-limit', [F, S, 'Recipient: <b@example.org>' + ''.join(f' X{n}=y' for n in range(32)), Z], '32 parameters', SA,
          [('b@example.org', [[f'X{n}', 'y'] for n in range(32)])])
    long_one('fields-limit', [F, S, R, Z, 'X: y'], 5, 997, True, '1 000 fields besides Recipient and those of a drainer, Spool-Format among them')
    long_one('fields-drainer', [F, S, R, Z, 'X: y', 'Attempts: 1', f'Next-Attempt: {TIME}', 'Last-Error: x', f'Set-Aside: {TIME} x', f'Requeued-At: {TIME}',
                                f'Delivered: <b@example.org> {TIME}'], 5, 997, True, "a drainer's fields come on top of the 1 000")
    long_one('recipients-limit', [F, S, R, Z], 3, 5000, True, '5 000 recipients')
    long_one('room-limit', *room(0), True, 'room for the outcomes, to the octet')
    lines, at, times = room(0)
    long_one('room-drainer', lines + ['Last-Error: ' + 'x' * 1000], at, times, True, "a drainer's fields do not count")
    valid('envid-limit', [F, 'Sender: <> ENVID=' + 'e' * 100, R, Z], 'an ENVID of 100', ('', [['ENVID', 'e' * 100]]), RB)
    valid('orcpt-utf8', [F, S, 'Recipient: <b@example.org> ORCPT=utf-8;bü@example.org', Z], 'RFC 6533', SA,
          [('b@example.org', [['ORCPT', 'utf-8;bü@example.org']])])


def long_one(name, lines, at, times, verdict, why):
    """It holds one line many times, and the index has no value for it."""
    put('envelope', name, '\n'.join(lines) + '\n\n', '.envelope', valid=verdict, repeat=[at, times], why=why)


def room(more):
    """An envelope of which 5.6 is true, with so many octets too many: its lines, and which of them comes how often."""
    address = 'a' * 200 + '@' + 'b' * 49
    rcpt = f'Recipient: <{address}>'
    rest = 4194304 + more - 4096 - len(f'{F}\n{S}\n{Z}\n\n') - 5000 * (len(rcpt) + 1 + len(address) + 320)
    lines = [F, S, Z, rcpt]
    while rest > 4096:
        lines.append('X: ' + 'y' * 3996)
        rest -= 4000
    return lines + ['X: ' + 'y' * (rest - 4)], 4, 5000


def bad_envelopes():
    ok = f'{F}\n{S}\n{R}\n{Z}\n'
    envelope('empty', '', 'an empty file')
    envelope('only-end', '\n', 'nothing but the end')
    envelope('no-end', ok, 'cut off before the empty line')
    envelope('no-lf', ok[:-1], 'cut off within the last line')
    envelope('no-lf-end', ok + '\nx', 'text after the empty line')
    envelope('second-end', ok + '\n\n', 'a second empty line')
    envelope('format-not-first', f'{S}\n{F}\n{R}\n{Z}\n\n', 'Spool-Format is not first')
    envelope('format-missing', f'{S}\n{R}\n{Z}\n\n', 'no Spool-Format')
    envelope('format-9', f'Spool-Format: 9\n{S}\n{R}\n{Z}\n\n', 'a version that nobody knows')
    envelope('format-01', f'Spool-Format: 01\n{S}\n{R}\n{Z}\n\n', 'not the version, as it is written')
    envelope('format-twice', f'{F}\n{F}\n{S}\n{R}\n{Z}\n\n', 'Spool-Format twice')
    envelope('no-sender', f'{F}\n{R}\n{Z}\n\n', 'no Sender')
    envelope('no-recipient', f'{F}\n{S}\n{Z}\n\n', 'no Recipient')
    envelope('no-size', f'{F}\n{S}\n{R}\n\n', 'no Size')
    for field, value in (('Sender', '<a@example.com>'), ('Size', '1'), ('SHA256', '0' * 64), ('CRC32C', '0' * 8), ('Requeued-At', TIME), ('Received-At', TIME),
                         ('Client-Address', 'x'), ('Client-Name', 'x'), ('Client-Ident', 'x'), ('Helo', 'x'), ('Protocol', 'x'),
                         ('TLS', 'x'), ('Attempts', '1'), ('Next-Attempt', TIME), ('Last-Error', 'x'), ('Set-Aside', TIME + ' x')):
        have = [F, S, R, Z] + ([] if field in ('Sender', 'Size') else [f'{field}: {value}'])
        envelope('twice-' + field.lower(), '\n'.join(have + [f'{field.upper()}: {value}']) + '\n\n', field + ' twice')
    for name, line, why in (
            ('fold', ' more', 'folding'), ('tab-fold', '\tmore', 'folding with a tab'), ('no-colon', 'Helo', 'no colon'),
            ('no-space', 'Helo:x', 'no space after the colon'), ('tab-space', 'Helo:\tx', 'a tab after the colon'),
            ('two-spaces', 'Helo:  x', 'two spaces'), ('end-space', 'Helo: x ', 'a space at the end'), ('no-value', 'Helo: ', 'no value'),
            ('space-before-colon', 'Helo : x', 'a space before the colon'), ('name-digit', '1X: x', 'a name that begins with a digit'),
            ('name-underscore', 'X_Y: x', 'an underscore in a name'), ('name-long', 'N' * 65 + ': x', 'a name of 65'),
            ('cr', 'Helo: x\r', 'CR LF'), ('nul', 'Helo: x\0y', 'NUL'), ('tab', 'Helo: x\ty', 'a tab in a value'), ('del', 'Helo: \x7f', 'DEL'),
            ('c1', 'Helo: x\u0085y', 'a control character beyond ASCII'), ('long-line', 'X: ' + 'y' * 4093, 'a line of 4097'),
            ('sha-short', 'SHA256: ' + '0' * 63, '63 digits'), ('sha-upper', 'SHA256: ' + 'A' * 64, 'upper case'),
            ('crc-short', 'CRC32C: 0000000', 'seven digits'), ('crc-upper', 'CRC32C: ABCDEF01', 'upper case'),
            ('crc-hex', 'CRC32C: 0x012345', 'not digits'), ('requeued-word', 'Requeued-At: today', 'no time'),
            ('outcome-text', f'Delivered: <b@example.org> {TIME} ' + 'x' * 257, 'a text of 257'),
            ('failed-text', f'Failed: <b@example.org> {TIME} ' + 'x' * 257, 'a text of 257'),
            ('last-error-long', 'Last-Error: ' + 'x' * 1201, 'a text of 1 201'),
            ('aside-long', f'Set-Aside: {TIME} ' + 'x' * (1200 - len(TIME)), 'time and text of 1 201'),
            ('attempts-sign', 'Attempts: -1', 'a sign'), ('attempts-long', 'Attempts: 1000000000', 'ten digits'),
            ('attempts-zero', 'Attempts: 01', 'a leading zero'),
            ('time-zone', 'Received-At: 2026-11-23T20:04:13+00:00', 'not Z'), ('time-space', 'Received-At: 2026-11-23 20:04:13Z', 'a space'),
            ('time-leap', 'Received-At: 2026-12-31T23:59:60Z', 'second 60'), ('time-date', 'Next-Attempt: 2026-02-29T00:00:00Z', 'no such day'),
            ('time-dot', 'Next-Attempt: 2026-02-28T00:00:00.Z', 'no digits after the dot'), ('time-ten', 'Next-Attempt: 2026-02-28T00:00:00.0123456789Z', 'ten digits'),
            ('aside-bare', 'Set-Aside: ' + TIME, 'no reason'),
            ('outcome-stranger', f'Delivered: <c@example.org> {TIME}', 'an outcome of no recipient'),
            ('outcome-case', f'Delivered: <B@example.org> {TIME}', 'not the same octets'),
            ('outcome-time', 'Delivered: <b@example.org> now', 'no time'), ('failed-bare', f'Failed: <b@example.org> {TIME}', 'no text'),
            ('failed-space', f'Failed: <b@example.org> {TIME}  x', 'two spaces'), ('aside-space', f'Set-Aside: {TIME}  x', 'two spaces')):
        envelope(name, f'{ok}{line}\n\n', why)
    envelope('outcome-twice', f'{ok}Delivered: <b@example.org> {TIME}\nFailed: <b@example.org> {TIME} x\n\n', 'two outcomes')
    envelope('not-utf8', ok.encode() + b'Helo: \xff\n\n', 'not UTF-8')
    envelope('overlong', ok.encode() + b'Helo: \xc0\xaf\n\n', 'an overlong form')
    envelope('surrogate', ok.encode() + b'Helo: \xed\xa0\x80\n\n', 'a surrogate')
    for name, size in (('sign', '+1'), ('leading-zero', '01'), ('long', '1' + '0' * 18), ('hex', '0x1'), ('word', 'one'), ('unit', '1k')):
        envelope('size-' + name, f'{F}\n{S}\n{R}\nSize: {size}\n\n', 'a bad size')
    long_one('fields-1001', [F, S, R, Z, 'X: y'], 5, 998, False, 'one field too many')
    long_one('recipients-5001', [F, S, R, Z], 3, 5001, False, 'one recipient too many')
    long_one('room-short', *room(1), False, 'an octet too little for the outcomes')
    paths()


def paths():
    for name, path, why in (
            ('bare', 'b@example.org', 'no angle brackets'), ('null', '<>', 'a recipient without address'), ('open', '<b@example.org', 'no >'),
            ('after', '<b@example.org>x', 'text after >'), ('route', '<@a,@b:c@example.org>', 'a source route'),
            ('dash', '<-oQ/tmp@example.org>', 'begins with -'), ('pipe', '<|/bin/sh@example.org>', 'begins with |'),
            ('slash', '</etc/passwd@example.org>', 'begins with /'), ('quoted-dash', '<"-x"@example.org>', 'begins with -, quotes off'),
            ('quoted-pipe', '<"\\|x"@example.org>', 'begins with |, quotes and backslash off'),
            ('quoted-pipe-two', '<"\\\\|x"@example.org>', 'begins with |, quotes and every backslash off'),
            ('quoted-dash-three', '<"\\\\\\-x"@example.org>', 'begins with -, quotes and every backslash off'),
            ('params-33', '<b@example.org>' + ''.join(f' X{n}=y' for n in range(33)), '33 parameters'),
            ('orcpt-utf8-long', '<b@example.org> ORCPT=utf-8;' + 'x' * 495, '501 octets'), ('dash-alone', '<-x>', 'begins with -'),
            ('include', '<":Include:/x"@example.org>', 'begins with :include:'), ('space', '<b c@example.org>', 'a space'),
            ('two-at', '<a@b@example.org>', 'two @'), ('no-domain', '<b@>', 'no domain'), ('no-local', '<@example.org>', 'no local part'),
            ('dots', '<a..b@example.org>', 'an empty atom'), ('dot-end', '<a.@example.org>', 'a dot at the end'),
            ('dot-begin', '<.a@example.org>', 'a dot at the beginning'), ('domain-dot', '<a@example.org.>', 'a dot after the domain'),
            ('domain-hyphen', '<a@-example.org>', 'a label that begins with a hyphen'), ('domain-hyphen-end', '<a@example-.org>', 'or ends with one'),
            ('label-64', '<a@' + 'b' * 64 + '.org>', 'a label of 64'), ('local-257', '<' + 'a' * 257 + '@example.org>', 'a local part of 257'),
            ('domain-256', '<a@' + '.'.join(['b' * 63] * 3 + ['c' * 62, 'd']) + '>', 'a domain of 256'),
            ('literal-empty', '<a@[]>', 'an empty literal'), ('literal-open', '<a@[1.2.3.4>', 'no ]'), ('literal-greater', '<a@[x>y]>', '> in a literal'),
            ('literal-less', '<a@[x<y]>', '< in a literal'), ('literal-at', '<a@[x@y]>', '@ in a literal'), ('quote-open', '<"a@example.org>', 'no closing quote'),
            ('quote-text', '<"a"b@example.org>', 'text after the quotes'), ('comment', '<a(b)@example.org>', 'a comment'),
            ('param-space', '<b@example.org>  X=1', 'two spaces'), ('param-twice', '<b@example.org> X=1 x=2', 'one keyword twice'),
            ('param-keyword', '<b@example.org> -X=1', 'a bad keyword'), ('param-empty', '<b@example.org> X=', 'no value'),
            ('param-equals', '<b@example.org> X=a=b', '= in a value'), ('notify-word', '<b@example.org> NOTIFY=SOMETIMES', 'no such word'),
            ('notify-never', '<b@example.org> NOTIFY=NEVER,DELAY', 'NEVER with others'), ('notify-twice', '<b@example.org> NOTIFY=DELAY,delay', 'a word twice'),
            ('notify-bare', '<b@example.org> NOTIFY', 'no value'), ('orcpt-type', '<b@example.org> ORCPT=b@example.org', 'no type'),
            ('orcpt-xtext', '<b@example.org> ORCPT=rfc822;b+2bx', 'lower-case hex'), ('orcpt-long', '<b@example.org> ORCPT=rfc822;' + 'x' * 494, '501 octets')):
        envelope('rcpt-' + name, f'{F}\n{S}\nRecipient: {path}\n{Z}\n\n', why)
    for name, path, why in (
            ('dash', '<-f@example.com>', 'begins with -'), ('bare', '<> ', 'a space at the end'), ('body', '<> BODY=9BIT', 'no such body'),
            ('ret', '<> RET=ALL', 'no such word'), ('smtputf8', '<> SMTPUTF8=1', 'a value'), ('envid-long', '<> ENVID=' + 'x' * 101, '101 octets'),
            ('envid-xtext', '<> ENVID=a+0', 'half an escape'), ('space', '< >', 'a space')):
        envelope('sender-' + name, f'{F}\nSender: {path}\n{R}\n{Z}\n\n', why)


# Drops

# What a drainer adds, at the time and under the names of the README.
DATE = 'Date: Mon, 23 Nov 2026 20:04:13 +0000\n'
MESSAGE_ID = 'Message-ID: <drop@mail.example.com>\n'


def mail(name, text, why, sender=None, recipients=None, content=None, exact=False, **repeat):
    """content is what remains of the text. Date and Message-ID are added to it here, unless it is exact."""
    if recipients is None:
        put('mail', name, text, '.mail', valid=False, why=why, **repeat)
        return
    path = f'mail/{name}.eml'
    put('mail', name, text, '.mail', valid=True, why=why, sender=sender, recipients=recipients, content=path, **repeat)
    with open(os.path.join(BASE, path), 'wb') as f:
        whole = text if content is None else content
        whole = whole if isinstance(whole, bytes) else whole.encode()
        if not exact:
            header, empty, body = whole.partition(b'\n\n')
            whole = header.rstrip(b'\n') + b'\n' + (DATE + MESSAGE_ID).encode() + empty[1:] + body
        f.write(whole)


def mails():
    a, b = 'From: a@example.com\n', 'To: b@example.org\n'
    A, B = 'a@example.com', ['b@example.org']
    mail('simple', a + b + '\nhello\n', 'From and To', A, B)
    mail('no-body', a + b, 'a header alone', A, B)
    mail('no-lf', a + b + '\nhello', 'the last LF is added', A, B, a + b + '\nhello\n')
    mail('no-lf-header', a + 'To: b@example.org', 'in the header too', A, B, a + b)
    mail('bcc', a + b + 'Bcc: c@example.net,\n d@example.net\nSubject: x\n\nhello\n', 'Bcc is delivered to and removed, with its continuation',
         A, B + ['c@example.net', 'd@example.net'], a + b + 'Subject: x\n\nhello\n')
    mail('only-bcc', a + 'Bcc: c@example.net\n\nhello\n', 'Bcc alone', A, ['c@example.net'], a + '\nhello\n')
    mail('cc-order', a + 'Cc: c@example.net\n' + b + '\n', 'To before Cc, whatever their order', A, B + ['c@example.net'])
    mail('same', a + b + 'Cc: b@example.org, B@example.org\n\n', 'the same octets once', A, B + ['B@example.org'])
    mail('return-path', 'Return-Path: <r@example.com>\n' + a + b + '\n', 'Return-Path is the sender, and removed', 'r@example.com', B, a + b + '\n')
    mail('null-sender', 'Return-Path: <>\n' + a + b + '\n', 'the null sender', '', B, a + b + '\n')
    mail('sender', a + 'Sender: s@example.com\n' + b + '\n', 'Sender before From', 's@example.com', B)
    mail('from-two', 'From: x@example.com, y@example.com\n' + b + '\n', 'the first of From', 'x@example.com', B)
    mail('mbox', 'From a@example.com Mon Nov 23 20:04:13 2026\n' + a + b + '\nhello\n', "a mailbox's separator", A, B, a + b + '\nhello\n')
    mail('resent', a + b + 'Resent-From: f@example.com\nResent-To: t@example.net\nResent-Bcc: u@example.net\n\n', 'Resent fields win',
         'f@example.com', ['t@example.net', 'u@example.net'], a + b + 'Resent-From: f@example.com\nResent-To: t@example.net\n\n')
    mail('resent-sender-only', a + b + 'Resent-From: f@example.com\n\n', 'Resent-From without a Resent recipient', A, B)
    mail('names', 'From: "Doe, Jane" <j@example.com>\nTo: Bob Hope <b@example.org>, c@example.net (Carol)\n\n', 'display names and comments',
         'j@example.com', ['b@example.org', 'c@example.net'])
    mail('group', a + 'To: friends: b@example.org, C <c@example.net>;, d@example.net\n\n', 'a group', A, B + ['c@example.net', 'd@example.net'])
    mail('empty-group', a + 'To: undisclosed-recipients:;\nBcc: b@example.org\n\n', 'an empty group', A, B, a + 'To: undisclosed-recipients:;\n\n')
    mail('empty-elements', a + 'To: ,, b@example.org , ,\n\n', 'empty elements', A, B)
    mail('folded', a + 'To: b@example.org,\n\t(a\n comment) <c@example.net>\n\n', 'folding, also in a comment', A, B + ['c@example.net'])
    mail('nested-comment', a + 'To: b@example.org (a (b \\) c) d)\n\n', 'comments nest', A, B)
    mail('quoted-name', a + 'To: "a \\"b, <c>" <b@example.org>\n\n', 'a quoted string hides what is in it', A, B)
    mail('quoted-local', a + 'To: "b c"@example.org\n\n', 'a quoted local part', A, ['"b c"@example.org'])
    mail('spaces', a + 'To: b . c @ example . org\n\n', 'blanks around . and @', A, ['b.c@example.org'])
    mail('angle-spaces', a + 'To: < b@example.org (x) >\n\n', 'blanks and a comment in angle brackets', A, B)
    mail('route', a + 'To: <@a.example,@b.example:b@example.org>\n\n', 'a source route is dropped', A, B)
    mail('local', 'From: root\nTo: operator\n\nhi\n', 'local parts alone', 'root', ['operator'])
    mail('literal', a + 'To: b@[192.0.2.1]\n\n', 'an address literal', A, ['b@[192.0.2.1]'])
    mail('name-blank', a + 'To : b@example.org\n\n', 'a blank before the colon', A, B)
    mail('case', 'FROM: a@example.com\ntO: b@example.org\nbCC: c@example.net\n\n', 'names in any case', A, B + ['c@example.net'],
         'FROM: a@example.com\ntO: b@example.org\n\n')
    mail('utf8', 'From: Jürgen <jürgen@example.com>\n' + b + '\nß\n', 'beyond ASCII', 'jürgen@example.com', B)
    mail('latin1', b'From: J\xfcrgen <a@example.com>\nTo: \xff <b@example.org>\n\n\xdf\n', 'names in another character set', A, B)
    mail('latin1-address', b'From: a@example.com\nTo: b\xff@example.org\n\n', 'an address is UTF-8')
    mail('dot', a + b + '\n.\n..\n', 'dots mean nothing', A, B)
    dated = a + b + DATE + MESSAGE_ID
    mail('dated', dated + '\nhello\n', 'Date and Message-ID are there', A, B, exact=True)
    mail('dated-case', a + b + 'DATE: x\nmessage-id:\n\nhello\n', 'in any case, and whatever their values', A, B, exact=True)
    mail('date-only', a + 'Date: x\n' + b + '\nhello\n', 'Message-ID is added', A, B, a + 'Date: x\n' + b + MESSAGE_ID + '\nhello\n', exact=True)
    mail('id-only', 'Message-ID: <x@y>\n' + a + b + '\nhello\n', 'Date is added after the last field', A, B,
         'Message-ID: <x@y>\n' + a + b + DATE + '\nhello\n', exact=True)
    mail('id-resent', a + b + 'Resent-Date: x\nResent-Message-ID: <x@y>\n\n', 'Resent fields are others', A, B)
    crlf = (a + b + '\nhello\n\n.\n').replace('\n', '\r\n')
    mail('crlf', crlf, 'every line ends in CR LF', A, B, a + b + '\nhello\n\n.\n')
    mail('crlf-no-end', crlf[:-2], 'but the last', A, B, a + b + '\nhello\n\n.\n')
    mail('crlf-bcc', (a + b + 'Bcc: c@example.net,\n d@example.net\nX: y\n z\n').replace('\n', '\r\n'), 'with continuations, and no body', A,
         B + ['c@example.net', 'd@example.net'], a + b + 'X: y\n z\n')
    mail('crlf-mbox', ('From a@example.com\n' + dated + '\nx\n').replace('\n', '\r\n'), 'with a separator', A, B, dated + '\nx\n', exact=True)
    mail('crlf-one-lf', crlf.replace('hello\r', 'hello'), 'one line ends in LF')
    mail('crlf-header-lf', crlf.replace('com\r', 'com'), 'the first line ends in LF')
    mail('crlf-bare-cr', crlf.replace('hello', 'hel\rlo'), 'a CR within a line')
    mail('crlf-bare-cr-end', crlf[:-1], 'a CR at the end of the file')
    mail('crlf-cr-cr', crlf.replace('hello', 'hello\r'), 'CR CR LF')
    mail('angle-quoted', a + 'To: <"b>(c\\" \\\\"@example.org>\n\n', 'a quoted string in angle brackets hides what is in it', A, ['"b>(c\\" \\\\"@example.org'])
    mail('angle-literal', a + 'To: <b@[1,2;3:4(5\\]>\n\n', 'a literal does too, and has no escapes: bad address')
    mail('angle-literal-good', a + 'To: <b@[1,2;3:4(5]>\n\n', 'a literal in angle brackets', A, ['b@[1,2;3:4(5]'])
    mail('angle-words', a + 'To: <b . c@example.org>, < (x) b @ (y(z)) example.org>\n\n', 'blanks and comments go', A, ['b.c@example.org', 'b@example.org'])
    mail('angle-open-comment', a + 'To: <b@example.org (x>\n\n', 'a comment without end')
    mail('angle-semicolon', a + 'To: <b;c@example.org>\n\n', '; in angle brackets')
    mail('angle-paren', a + 'To: <b)c@example.org>\n\n', ') in angle brackets')
    mail('angle-backslash', a + 'To: <b\\c@example.org>\n\n', 'a backslash in angle brackets')
    mail('angle-less', a + 'To: <b<c@example.org>\n\n', '< in angle brackets')
    mail('angle-comma', a + 'To: <b,c@example.org>\n\n', ', in an address')
    mail('route-comment', a + 'To: <@a.example (x), @b.example : b@example.org>\n\n', 'blanks and comments in a source route', A, B)
    mail('route-paren', a + 'To: <@a.example):b@example.org>\n\n', ') in a source route')
    mail('route-no-colon', a + 'To: <@a.example>\n\n', 'a source route without an address')
    mail('route-empty', a + 'To: <@a.example:>\n\n', 'a source route before nothing')
    mail('group-literal', a + 'To: [x] y: b@example.org;\n\n', 'a literal in the name of a group', A, B)
    mail('group-quoted', a + 'To: "x; y": b@example.org;\n\n', 'a quoted string in the name of a group', A, B)
    mail('group-comment', a + 'To: (x): b@example.org;\n\n', 'a comment is no name of a group')
    mail('group-angle', a + 'To: <b@example.org>: c@example.net;\n\n', '< before the colon of a group')
    mail('group-next', a + 'To: x: b@example.org; c@example.net\n\n', 'a group ends an element', A, B + ['c@example.net'])
    mail('word-join', a + 'To: b.(x)c@example.org\n\n', 'a comment is a blank', A, ['b.c@example.org'])
    mail('word-comment', a + 'To: b(x)c@example.org\n\n', 'two words with a comment between')
    mail('quoted-escape', a + 'To: "x \\" , y" <b@example.org>\n\n', 'an escaped quote', A, B)
    mail('comment-escape', a + 'To: b@example.org (x \\( \\) \\\\)\n\n', 'escapes in a comment', A, B)
    mail('literal-escape', a + 'To: b@[x\\]y]\n\n', 'no escapes in a literal')
    mail('backslash', a + 'To: b\\c@example.org\n\n', 'a backslash outside quotes')
    mail('empty', '', 'an empty file')
    mail('no-recipient', a + '\nhello\n', 'no recipient')
    mail('no-sender', b + '\nhello\n', 'no sender')
    mail('text', 'hello\n', 'not a header')
    mail('text-later', a + b + 'hello\n\n', 'not a header field')
    mail('continuation', ' x\n' + a + b + '\n', 'a continuation of nothing')
    mail('cr', a + b + '\nhello\r\n', 'CR in the body')
    mail('cr-header', 'From: a@example.com\r\n' + b + '\n', 'CR in the header')
    mail('nul', a + b + '\nhel\0lo\n', 'NUL')
    mail('two-words', a + 'To: b c\n\n', 'two words')
    mail('two-words-domain', a + 'To: Bob b@example.org\n\n', 'a display name without brackets')
    mail('open-quote', a + 'To: "b@example.org\n\n', 'a quoted string without end')
    mail('open-comment', a + 'To: b@example.org (x\n\n', 'a comment without end')
    mail('open-angle', a + 'To: <b@example.org\n\n', 'an angle bracket without end')
    mail('two-angles', a + 'To: <b@example.org> <c@example.net>\n\n', 'no comma')
    mail('after-angle', a + 'To: <b@example.org> Bob\n\n', 'text after the address')
    mail('open-group', a + 'To: x: b@example.org\n\n', 'a group without end')
    mail('nested-group', a + 'To: x: y: b@example.org;;\n\n', 'groups do not nest')
    mail('unused-to', 'From: a@example.com\nResent-To: b@example.org\nTo: x y, <\n\n', 'To is not used, and not checked', A, B)
    mail('unused-from', 'Sender: a@example.com\nFrom: x y\n' + b + '\n', 'From is not used, and not checked', A, B)
    mail('unused-second', a + 'From: x y\n' + b + '\n', 'the second From is not used, and not checked', A, B)
    mail('unused-resent', a + b + 'Resent-From: x y\n\n', 'Resent-From is not used, and not checked', A, B)
    mail('used-later', 'From: a@example.com, x y\n' + b + '\n', 'the whole field of the sender is checked')
    mail('return-path-blank', 'Return-Path: < >\n' + a + b + '\n', 'not the null sender, and no address')
    mail('return-path-comment', 'Return-Path: <> (x)\n' + a + b + '\n', 'not the null sender, and no address')
    mail('return-path-tabs', 'Return-Path:\t<>\n \t\n' + a + b + '\n', 'the null sender, with spaces and tabs around it', '', B, a + b + '\n')
    mail('nothing-left', 'Return-Path: <a@example.com>\nBcc: b@example.org', 'nothing is left but what is added', A, B, DATE + MESSAGE_ID, exact=True)
    mail('route-literal', a + 'To: <@[IPv6:::1]:b@example.org>\n\n', 'a source route ends at the first colon')
    mail('same-many', a + 'Bcc:\n b@example.org,\n\n', '5 001 equal addresses are one', A, B, a + '\n', repeat=[3, 5001])
    line = 'Return-Path: <r@example.com>\n'
    rest = 1048576 - 36000 * len(line) - len('From x\n' + a + b)
    mail('header-limit', 'From x\n' + a + b + line + 'Bcc: c@example.net' + ' ' * (rest - 19) + '\n\nx\n', 'a header of 1 048 576 octets with its first line and all line ends',
         'r@example.com', B + ['c@example.net'], a + b + '\nx\n', repeat=[4, 36000])
    mail('header-long', 'From x\n' + a + b + line + 'Bcc: c@example.net' + ' ' * (rest - 18) + '\n\nx\n', 'a header of 1 048 577 octets', repeat=[4, 36000])
    mail('semicolon', a + 'To: b@example.org;\n\n', 'a semicolon without a group')
    mail('dangerous', a + 'To: "|/bin/sh"@example.org\n\n', 'a dangerous address')
    mail('null-recipient', a + 'To: <>\n\n', 'a recipient without address')
    mail('bad-from', 'From: @\n' + b + '\n', 'a bad sender')
    mail('empty-from', 'From: \nSender: \n' + b + '\n', 'a sender field without address')
    mail('bad-return-path', 'Return-Path: x y\n' + a + b + '\n', 'a bad Return-Path')


# Trees

def tree(name, why, before, after, delivered=(), minutes=0, then=()):
    def entries(xs):
        return [x if isinstance(x, dict) else {'path': x} for x in xs]
    body = {'before': entries(before), 'after': entries(after), 'delivered': list(delivered)}
    if minutes:
        body['minutes'] = minutes
    if then:
        body['then'] = entries(then)
    put('tree', name, json.dumps(body, indent=1) + '\n', '.json', why=why)


def f(path, text='x\n', **more):
    return {'path': path, 'text': text, **more}


def twin(path, of):
    return {'path': path, 'same_as': of}


ENV = f'{F}\n{S}\n{R}\nSize: 2\n\n'
GOT = {'sender': 'a@example.com', 'recipients': ['b@example.org'], 'content': 'x\n'}
C, E = f('new/m.eml'), f('new/m.envelope', ENV)
CC, CE, CD = f('cur/m.eml'), f('cur/m.envelope', ENV), f('cur/m.done', ENV)
ASIDE = ['bad/m.eml', 'bad/m.envelope']
SUM = 'b8ce48d5'   # CRC32C of x LF


def crc(text, value=SUM):
    return text[:-1] + f'CRC32C: {value}\n\n'


def trees():
    tree('empty', 'nothing', [], [])
    tree('draft', 'DRAFT is left alone', [f('tmp/m.eml'), f('tmp/m.envelope', ENV)], ['tmp/m.eml', 'tmp/m.envelope'])
    tree('draft-old', 'after 36 hours it is removed', [f('tmp/m.eml', hours=37)], [])
    tree('half', 'HALF is left alone', [C, f('tmp/m.envelope', ENV)], ['new/m.eml', 'tmp/m.envelope'])
    tree('ready', 'READY', [C, E], [], [GOT])
    tree('taking', 'TAKING', [C, CE], [], [GOT])
    tree('split', 'SPLIT', [CC, E], [], [GOT])
    tree('owned', 'OWNED without owner', [CC, CE], [], [GOT])
    tree('same-id', 'two messages of one id', [CC, f('cur/m.envelope', ENV.replace('a@', 'other@')), C, E], [], [GOT, {**GOT, 'sender': 'other@example.com'}])
    tree('aside', 'ASIDE is left alone', [f('bad/m.eml'), f('bad/m.envelope', ENV)], ASIDE)
    tree('sending', 'SENDING is for a person', [C, f('bad/m.envelope', ENV)], ['new/m.eml', 'bad/m.envelope'])
    tree('sending-old', 'also after 36 hours', [{**C, 'hours': 37}, f('bad/m.envelope', ENV)], ['new/m.eml', 'bad/m.envelope'], minutes=2)
    tree('unknown-names', 'names that are not of the format', [f('new/README'), f('new/.m.eml'), f('cur/m~.envelope'), f('new/a b.envelope', ENV)],
         ['new/README', 'new/.m.eml', 'cur/m~.envelope', 'new/a b.envelope'])
    tree('delivered-already', 'nothing pending: it is finished without an agent', [C, f('new/m.envelope', ENV[:-1] + f'Delivered: <b@example.org> {TIME}\n\n')], [])
    tree('partly-delivered', 'only who is pending gets it',
         [C, f('new/m.envelope', ENV[:-1] + f'Recipient: <c@example.org>\nDelivered: <b@example.org> {TIME}\n\n')], [], [{**GOT, 'recipients': ['c@example.org']}])
    tree('no-last-lf', 'a last line without LF', [f('new/m.eml', 'xy'), E], [], [{**GOT, 'content': 'xy'}])
    tree('empty-content', 'Size 0 is a message', [f('new/m.eml', ''), f('new/m.envelope', ENV.replace('Size: 2', 'Size: 0'))], [], [{**GOT, 'content': ''}])
    failed = f'Failed: <b@example.org> {TIME} no such user\n\n'
    tree('failed-already', 'nothing pending, and the sender was not told of a failure: it is set aside', [C, f('new/m.envelope', ENV[:-1] + failed)], ASIDE)
    tree('failed-partly', 'only who is pending gets it, and the failure is not forgotten',
         [C, f('new/m.envelope', ENV[:-1] + 'Recipient: <c@example.org>\n' + failed)], ASIDE, [{**GOT, 'recipients': ['c@example.org']}])
    many = ENV[:-1] + 'X: y\n' * 996
    tree('fields', 'a message with 1 000 fields', [C, f('new/m.envelope', many + '\n')], [], [GOT])
    tree('fields-aside', 'a message with 1 000 fields is set aside', [C, f('new/m.envelope', many.replace('Size: 2', 'Size: 3') + '\n')], ASIDE)
    tree('due-new', 'in new the modification time has no meaning', [C, {**E, 'ahead': 60}], [], [GOT])
    tree('due-cur', 'deferred', [CC, {**CE, 'ahead': 60}], ['cur/m.eml', 'cur/m.envelope'])
    tree('due-cur-later', 'deferred, and then due', [CC, {**CE, 'ahead': 60}], [], [GOT], minutes=61)
    tree('due-never', 'further ahead than any drainer waits', [CC, {**CE, 'ahead': 5000000}], [], [GOT])
    tree('tmp-odd', 'whatever is in tmp for 36 hours is removed, but for a directory',
         [{'path': 'tmp/a', 'type': 'fifo', 'hours': 37}, {'path': 'tmp/b', 'type': 'symlink', 'to': '/etc/passwd'}, {'path': 'tmp/c', 'type': 'dir'}],
         [{'path': 'tmp/c', 'type': 'dir'}])
    done_trees()
    half_trees()
    unreadable_trees()
    malformed_trees()
    name_trees()
    drop_trees()


def done_trees():
    tree('done', 'DONE', [CC, CD], [])
    tree('done-crc', 'DONE, with a checksum that fits', [CC, f('cur/m.done', crc(ENV))], [])
    tree('done-again', 'DONE, and another message of that id in new', [f('cur/m.eml', 'y\n'), CD, C, E], [], [GOT])
    tree('ended', 'ENDED', [CD], [])
    tree('ended-again', 'ENDED, and another message of that id in new', [CD, C, E], [], [GOT])
    tree('undone', 'UNDONE: the envelope counts', [CC, CE, CD], [], [GOT])
    for name, text in (('size', ENV.replace('Size: 2', 'Size: 3')), ('crc', crc(ENV, '00000000')), ('malformed', ENV[:-1]), ('empty', ''),
                       ('sha256', ENV[:-1] + 'SHA256: ' + '0' * 64 + '\n\n')):
        tree('stale-' + name, 'STALE: .done does not fit; the content is LOST', [CC, f('cur/m.done', text)], ['cur/m.eml'])
    for kind, more in (('symlink', {'to': 'm.eml'}), ('fifo', {}), ('dir', {})):
        odd = {'path': 'cur/m.done', 'type': kind, **more}
        tree('stale-' + kind, 'STALE: .done is no file', [CC, odd], ['cur/m.eml'])
        tree('undone-' + kind, 'UNDONE, and .done is no file', [CC, CE, odd], [], [GOT])
        tree('ended-' + kind, 'ENDED, and .done is no file', [odd], [])
        tree('ended-again-' + kind, '.done is no file, and a message of that id is in new', [odd, C, E], [], [GOT])
    full = {'path': 'cur/m.done', 'type': 'dir'}
    tree('ended-dir-full', '.done is a directory with something in it', [full, f('cur/m.done/x')], [full])
    tree('undone-dir-full', 'such a directory keeps no message from its delivery', [CC, CE, full, f('cur/m.done/x')], [full], [GOT])
    tree('undone-dir-aside-full', 'and none from bad', [CC, f('cur/m.envelope', 'hello\n'), full, f('cur/m.done/x')], [full, *ASIDE])
    tree('alone-dir-full', 'and no envelope without a content', [f('cur/m.envelope', ENV, hours=37), full, f('cur/m.done/x')], [full, 'bad/m.envelope'], minutes=2)
    tree('stale-split', 'STALE, and the envelope is in new', [CC, f('cur/m.done', ENV.replace('Size: 2', 'Size: 3')), E], [], [GOT])
    tree('done-in-new', '.done in new is not of the format', [f('new/m.done', ENV)], ['new/m.done'])
    tree('done-name', 'DONE, and the envelope has its old name in new', [CC, CD, twin('new/m.envelope', 'cur/m.done')], [])
    tree('deleting', 'DELETING is for a person', [f('bad/m.eml'), f('bad/m.done', ENV)], ['bad/m.eml', 'bad/m.done'])


    link = twin('new/m.envelope', 'cur/m.done')
    tree('ended-link', 'ENDED, and its envelope has its old name in new', [{**CD, 'hours': 37}, link], [], minutes=2)
    tree('ended-link-bad', 'and in bad', [CD, twin('bad/m.envelope', 'cur/m.done')], [])
    tree('done-link-bad', 'DONE, and its envelope has a name in bad', [CC, CD, twin('bad/m.envelope', 'cur/m.done')], [])
    full = {'path': 'cur/m.done', 'type': 'dir'}
    tree('split-done-full', 'and SPLIT', [full, f('cur/m.done/x'), CC, E], [full], [GOT])
    tree('lost-done-full', 'and LOST', [full, f('cur/m.done/x'), f('cur/m.eml', hours=37)], [full, 'bad/m.eml'], minutes=2)
    tree('done-way-full', '.done is a directory with something in it, and a message of that id is in new', [full, f('cur/m.done/x'), C, E], [full], [GOT])


def half_trees():
    for box in ('new', 'cur'):
        tree(f'{box}-content', 'a content alone waits', [f(f'{box}/m.eml', hours=1)], [f'{box}/m.eml'], minutes=2)
        tree(f'{box}-content-once', 'after 36 hours it is seen once', [f(f'{box}/m.eml', hours=37)], [f'{box}/m.eml'])
        tree(f'{box}-content-old', 'and then twice', [f(f'{box}/m.eml', hours=37)], [f('bad/m.eml')], minutes=2)
        tree(f'{box}-envelope', 'an envelope alone waits', [f(f'{box}/m.envelope', ENV, hours=1)], [f'{box}/m.envelope'], minutes=2)
        tree(f'{box}-envelope-once', 'after 36 hours it is seen once', [f(f'{box}/m.envelope', ENV, hours=37)], [f'{box}/m.envelope'])
        tree(f'{box}-envelope-old', 'and then twice', [f(f'{box}/m.envelope', ENV, hours=37)], ['bad/m.envelope'], minutes=2)
        tree(f'{box}-content-first', 'restored, the content first', [f(f'{box}/m.eml', hours=30)], [], [GOT], minutes=2, then=[f(f'{box}/m.envelope', ENV)])
        tree(f'{box}-envelope-first', 'restored, the envelope first', [f(f'{box}/m.envelope', ENV, hours=30)], [], [GOT], minutes=2, then=[f(f'{box}/m.eml')])
    tree('half-other', 'HALF, and an envelope under a name with a number in bad', [{**C, 'hours': 37}, f('bad/m.1.envelope', ENV)], ['bad/m.eml', 'bad/m.1.envelope'], minutes=2)
    tree('person-content', 'a person has moved the content from bad to new: it is for a requeue', [C, f('bad/m.envelope', ENV)], ['new/m.eml', 'bad/m.envelope'], minutes=2)
    tree('person-content-cur', 'a person has moved the content from bad to cur: it waits', [CC, f('bad/m.envelope', ENV)], ['cur/m.eml', 'bad/m.envelope'], minutes=2)
    tree('person-envelope', 'a person has moved the envelope from bad to cur: it waits', [f('bad/m.eml'), CE], ['bad/m.eml', 'cur/m.envelope'], minutes=2)
    tree('alone-taken', 'ALONE, and the name is taken in bad', [f('cur/m.envelope', ENV, hours=37), f('bad/m.eml', 'older\n')],
         [f('bad/m.eml', 'older\n'), 'bad/m.1.envelope'], minutes=2)
    tree('alone-long', 'ALONE, and the name of 180 octets is taken in bad', [f('cur/' + 'z' * 180 + '.envelope', ENV, hours=37), f('bad/' + 'z' * 180 + '.eml')],
         ['bad/' + 'z' * 180 + '.eml', 'bad/' + 'z' * 178 + '.1.envelope'], minutes=2)
    tree('alone-fifo', 'ALONE, and no file', [{'path': 'new/m.envelope', 'type': 'fifo', 'hours': 37}], [{'path': 'bad/m.envelope', 'type': 'fifo'}], minutes=2)


def unreadable_trees():
    none, given = {'mode': '0000'}, {'mode': '0640'}
    for box, content, env in (('new', C, E), ('cur', CC, CE)):
        both = [content['path'], env['path']]
        tree(f'unreadable-{box}-content', 'the content cannot be read: both files stay', [{**content, **none, 'hours': 37}, env], both, minutes=2)
        tree(f'unreadable-{box}-content-given', 'and then it can', [{**content, **none, 'hours': 37}, env], [], [GOT], minutes=2, then=[{'path': content['path'], **given}])
        tree(f'unreadable-{box}-alone', 'a content alone that cannot be read stays', [{**content, **none, 'hours': 37}], both[:1], minutes=2)
        tree(f'unreadable-{box}-alone-envelope', 'an envelope alone that cannot be read stays', [{**env, **none, 'hours': 37}], both[1:], minutes=2)
        tree(f'unreadable-{box}-envelope', 'the envelope cannot be read: both files stay', [content, {**env, **none, 'hours': 37}], ['cur/m.eml', 'cur/m.envelope'], minutes=2)
        tree(f'unreadable-{box}-envelope-given', 'and then it can', [content, {**env, **none}], [], [GOT], then=[{'path': 'cur/m.envelope', **given}])
    tree('unreadable-taking', 'TAKING with a content that cannot be read stays', [{**C, **none}, CE], ['new/m.eml', 'cur/m.envelope'], minutes=2)
    tree('unreadable-done', 'a .done that cannot be read: both files stay', [CC, {**CD, **none, 'hours': 37}], ['cur/m.eml', 'cur/m.done'], minutes=2)
    tree('unreadable-done-content', 'DONE, and the content cannot be read: both files stay', [{**CC, **none, 'hours': 37}, CD], ['cur/m.eml', 'cur/m.done'], minutes=2)
    tree('unreadable-done-given', 'and then it can', [{**CC, **none}, CD], [], then=[{'path': 'cur/m.eml', **given}])
    drop = f('new/m.mail', f'From: a@example.com\nTo: b@example.org\n{DATE}{MESSAGE_ID}\nx\n')
    tree('unreadable-drop', 'a drop that cannot be read stays', [{**drop, **none, 'hours': 37}], ['new/m.mail'], minutes=2)


def malformed_trees():
    for name, text in (('truncated', ENV[:-1]), ('double-sender', ENV.replace(S, S + '\n' + S)), ('no-sender', ENV.replace(S + '\n', '')),
                       ('no-recipient', ENV.replace(R + '\n', '')), ('version', ENV.replace(': 1', ': 9', 1)), ('option', ENV.replace('<b@', '<-b@')),
                       ('pipe', ENV.replace('<b@', '<|b@')), ('control', ENV.replace('<b@', '<b\x01@')), ('nul', ENV + '\0'),
                       ('size', ENV.replace('Size: 2', 'Size: 3')), ('crc', crc(ENV, 'b8ce48d4')), ('sha256', ENV[:-1] + 'SHA256: ' + '0' * 64 + '\n\n')):
        tree('bad-' + name, 'malformed: set aside', [C, f('new/m.envelope', text)], ASIDE)
    tree('bad-empty', "emptied by its feeder, whose sync failed", [C, f('new/m.envelope', '')], ASIDE)
    tree('crc', 'a checksum that is right', [C, f('new/m.envelope', crc(ENV))], [], [GOT])
    tree('torn', 'Size is right, and a power cut left zeros', [f('new/m.eml', '\0\0'), f('new/m.envelope', crc(ENV))], [f('bad/m.eml', '\0\0'), 'bad/m.envelope'])
    tree('torn-short', 'a power cut left nothing', [f('new/m.eml', ''), f('new/m.envelope', crc(ENV))], [f('bad/m.eml', ''), 'bad/m.envelope'])
    tree('torn-other', 'a power cut left other octets', [f('new/m.eml', 'y\n'), f('new/m.envelope', crc(ENV))], [f('bad/m.eml', 'y\n'), 'bad/m.envelope'])
    tree('bad-content-cr', 'a content with CR', [f('new/m.eml', '\r'), f('new/m.envelope', ENV.replace('2', '1'))], [f('bad/m.eml', '\r'), 'bad/m.envelope'])
    tree('bad-content-nul', 'a content with NUL', [f('new/m.eml', '\0\n'), E], ASIDE)
    tree('bad-name-taken', 'the name is taken in bad', [C, f('new/m.envelope', ''), f('bad/m.eml', 'older\n')],
         [f('bad/m.eml', 'older\n'), f('bad/m.1.eml', 'x\n'), 'bad/m.1.envelope'])
    for kind, more in (('symlink', {'to': '/etc/passwd'}), ('fifo', {}), ('dir', {})):
        odd, shown = {'type': kind, **more}, {'type': kind}
        aside = [{'path': 'bad/m.eml', **shown}, 'bad/m.envelope']
        for name, c, e in (('', 'new', 'new'), ('-taking', 'new', 'cur'), ('-cur', 'cur', 'cur'), ('-split', 'cur', 'new')):
            tree(f'{kind}-content{name}', 'no file in the place of the content', [{'path': f'{c}/m.eml', **odd}, f(f'{e}/m.envelope', ENV)], aside)
        for box in ('new', 'cur'):
            alone = {'path': f'{box}/m.eml', **odd, 'hours': 37}
            tree(f'{kind}-content-alone-{box}', 'nor an envelope', [alone], [{'path': 'bad/m.eml', **shown}], minutes=2)
            tree(f'{kind}-content-young-{box}', 'nor an envelope, and 36 hours are not over', [{**alone, 'hours': 1}], [{'path': f'{box}/m.eml', **shown}], minutes=2)
            tree(f'{kind}-content-left-{box}', 'its envelope is in bad already', [alone, f('bad/m.envelope', ENV)],
                 ['bad/m.envelope', {'path': 'bad/m.1.eml', **shown}], minutes=2)
        tree(f'{kind}-content-done', 'no file in the place of the content of a .done', [{'path': 'cur/m.eml', **odd, 'hours': 37}, CD], [{'path': 'bad/m.eml', **shown}], minutes=2)
        tree(f'{kind}-content-two', 'an envelope in each box', [{'path': 'cur/m.eml', **odd}, E, f('cur/m.envelope', ENV.replace('a@', 'other@'))],
             [{'path': 'bad/m.eml', **shown}, 'bad/m.envelope', f('cur/m.envelope', ENV.replace('a@', 'other@'))])
        tree(f'{kind}-content-beside', 'and a message of that id in cur, which is delivered first', [{'path': 'new/m.eml', **odd}, E, CC, f('cur/m.envelope', ENV.replace('a@', 'other@'))],
             aside, [{**GOT, 'sender': 'other@example.com'}])
        way = {'path': 'cur/m.eml', **odd}
        tree(f'{kind}-content-way', 'in the way of a message that is in new', [way, C, E], [{'path': 'bad/m.eml', **shown}], [GOT])
        tree(f'{kind}-content-way-taking', 'in the way of TAKING', [way, C, CE], [{'path': 'bad/m.eml', **shown}], [GOT])
        tree(f'{kind}-content-way-split', 'it counts as no content: SPLIT', [{'path': 'new/m.eml', **odd, 'hours': 37}, E, CC], [{'path': 'bad/m.eml', **shown}], [GOT], minutes=2)
        other = 'fifo' if kind == 'dir' else 'dir'
        tree(f'{kind}-content-way-two', 'two such things and one envelope: it goes with the one in new', [{'path': 'new/m.eml', **odd}, {'path': 'cur/m.eml', 'type': other}, E],
             [*aside, {'path': 'cur/m.eml', 'type': other}])
        tree(f'{kind}-envelope', 'no file in the place of the envelope', [C, {'path': 'new/m.envelope', **odd}], ['bad/m.eml', {'path': 'bad/m.envelope', **shown}])
        tree(f'{kind}-drop', 'no file in the place of the drop', [{'path': 'new/m.mail', **odd}], ['bad/m.envelope', {'path': 'bad/m.mail', **shown}])


def name_trees():
    bad_c, bad_e = twin('bad/m.eml', 'cur/m.eml'), twin('bad/m.envelope', 'cur/m.envelope')
    tree('leaving', 'LEAVING: not decided, so it is delivered', [CC, CE, bad_c], [], [GOT])
    tree('leaving-envelope', 'LEAVING, and the content has lost its name in bad', [CC, CE, bad_e], [], [GOT])
    tree('leaving-numbered', 'LEAVING, under the second name', [CC, CE, f('bad/m.eml', 'older\n'), twin('bad/m.1.eml', 'cur/m.eml')], [f('bad/m.eml', 'older\n')], [GOT])
    tree('left', 'LEFT, with both files', [CC, CE, bad_c, bad_e], ASIDE)
    tree('left-numbered', 'LEFT, under the second name', [CC, CE, f('bad/m.eml', 'older\n'), twin('bad/m.1.eml', 'cur/m.eml'), twin('bad/m.1.envelope', 'cur/m.envelope')],
         [f('bad/m.eml', 'older\n'), 'bad/m.1.eml', 'bad/m.1.envelope'])
    tree('left-copy', 'LEFT, and the content in bad is a copy', [CC, CE, f('bad/m.eml'), bad_e], ASIDE)
    tree('left-content', 'LEFT, with the content alone', [CC, bad_c, f('bad/m.envelope', ENV)], ASIDE)
    tree('aside-other', 'bad has another message of that id', [CC, CE, f('bad/m.eml'), f('bad/m.envelope', ENV)], ASIDE, [GOT])
    tree('link-new-cur', 'the content has its old name in new', [CC, CE, twin('new/m.eml', 'cur/m.eml')], [], [GOT])
    tree('link-new-cur-both', 'both files have their old names in new', [CC, CE, twin('new/m.eml', 'cur/m.eml'), twin('new/m.envelope', 'cur/m.envelope')], [], [GOT])
    tree('link-new-cur-envelope', 'the envelope has its old name in new, and the content is there', [C, CE, twin('new/m.envelope', 'cur/m.envelope')], [], [GOT])
    tree('link-tmp', 'another name in tmp does not matter', [C, E, twin('tmp/t', 'new/m.eml')], ['tmp/t'], [GOT])
    tree('link-other', 'another name under another id does not matter', [C, E, twin('new/n.eml', 'new/m.eml')], ['new/n.eml'], [GOT])
    tree('requeue-names', 'a requeue that was cut short: the content has both names, and the envelope is in bad', [C, twin('bad/m.eml', 'new/m.eml'), f('bad/m.envelope', ENV)],
         ['new/m.eml', 'bad/m.eml', 'bad/m.envelope'])
    tree('requeue-envelope', 'a requeue, and the envelope has its old name in bad', [C, E, twin('bad/m.envelope', 'new/m.envelope')], [], [GOT])
    for box in ('new', 'cur'):
        tree(f'{box}-content-bad', 'a content alone, whose move to bad was cut short', [f(f'{box}/m.eml', hours=37), twin('bad/m.eml', f'{box}/m.eml')], [f('bad/m.eml')], minutes=2)
    tree('leaving-content-reason', 'LEAVING: a content in bad beside an envelope that is not its own is no decision',
         [CC, CE, twin('bad/m.eml', 'cur/m.eml'), f('bad/m.envelope', f'Set-Aside: {TIME} x\n')], ['bad/m.envelope'], [GOT])
    tree('alone-new-bad-whole', 'ALONE, and the message is in bad too: a power cut took back half a requeue',
         [f('new/m.envelope', ENV, hours=37), twin('bad/m.envelope', 'new/m.envelope'), f('bad/m.eml')], ASIDE, minutes=2)
    tree('alone-names', 'ALONE, in new and cur', [f('cur/m.envelope', ENV, hours=37), twin('new/m.envelope', 'cur/m.envelope')], ['bad/m.envelope'], minutes=2)
    for box in ('new', 'cur'):
        tree(f'alone-{box}-bad', 'ALONE, and its move to bad was cut short: set aside once',
             [f(f'{box}/m.envelope', ENV, hours=37), twin('bad/m.envelope', f'{box}/m.envelope')], ['bad/m.envelope'], minutes=2)


def drop_trees():
    drop = f'From: a@example.com\nTo: b@example.org\n{DATE}{MESSAGE_ID}\nx\n'
    got = {**GOT, 'content': drop}
    env = ENV.replace('Size: 2', f'Size: {len(drop)}')
    tree('drop', 'DROP', [f('new/daily.mail', drop)], [], [got])
    tree('drop-crlf', 'DROP with CR LF', [f('new/daily.mail', drop.replace('\n', '\r\n'))], [], [got])
    tree('making', 'MAKING', [f('cur/m.mail', drop)], [], [got])
    tree('making-content', 'MAKING, with a content', [f('cur/m.mail', drop), f('cur/m.eml', 'half')], [], [got])
    tree('making-envelope', 'MAKING, with an envelope', [f('cur/m.mail', drop), CE], [], [got])
    tree('making-same-id', 'MAKING, and a message in new has its id: both are delivered', [f('cur/m.mail', drop), C, E], [], [got, GOT])
    tree('made', 'MADE', [f('cur/m.mail', drop), f('cur/m.eml', drop), f('cur/m.envelope', env)], [], [got])
    tree('made-done', 'a power cut brought back a drop whose message is done', [f('cur/m.mail', drop), f('cur/m.eml', drop), f('cur/m.done', env)], [])
    tree('made-ended', 'and whose content is gone', [f('cur/m.mail', drop), f('cur/m.done', env)], [])
    tree('made-undone', 'and whose envelope is there too', [f('cur/m.mail', drop), f('cur/m.eml', drop), f('cur/m.envelope', env), f('cur/m.done', env)], [], [got])
    tree('making-text-done', 'MAKING: a .done that is no envelope is no evidence', [f('cur/m.mail', drop), f('cur/m.done', 'hello\n')], [], [got])
    tree('making-content-text-done', 'and a content is there too', [f('cur/m.mail', drop), f('cur/m.eml', drop), f('cur/m.done', '')], [], [got])
    tree('making-dangling-done', 'MAKING: .done is a link to nothing', [f('cur/m.mail', drop), {'path': 'cur/m.done', 'type': 'symlink', 'to': '/nothing'}], [], [got])
    tree('made-text-done', 'MADE, and a .done that is no envelope', [f('cur/m.mail', drop), f('cur/m.eml', drop), f('cur/m.envelope', env), f('cur/m.done', 'hello\n')], [], [got])
    full = {'path': 'cur/m.done', 'type': 'dir'}
    for suffix, beside in (('eml', CE), ('envelope', f('cur/m.eml', drop))):
        way = f'cur/m.{suffix}'
        tree(f'making-{suffix}-dir', 'MAKING: a directory with something in it is in the way', [f('cur/m.mail', drop), {'path': way, 'type': 'dir'}, f(way + '/x'), beside],
             [{'path': f'bad/m.{suffix}', 'type': 'dir'}], [got])
    tree('making-dir-full', 'MAKING: .done is a directory with something in it', [f('cur/m.mail', drop), full, f('cur/m.done/x')], [full], [got])
    for kind, more in (('symlink', {'to': '/etc/passwd'}), ('fifo', {}), ('dir', {})):
        tree(f'making-{kind}-done', 'MAKING: .done is no file', [f('cur/m.mail', drop), {'path': 'cur/m.done', 'type': kind, **more}], [], [got])
        tree(f'making-{kind}-content', 'MAKING: no file in the place of the content', [f('cur/m.mail', drop), {'path': 'cur/m.eml', 'type': kind, **more}, f('cur/m.envelope', env)], [], [got])
        tree(f'making-{kind}-envelope', 'MAKING: no file in the place of the envelope', [f('cur/m.mail', drop), f('cur/m.eml', drop), {'path': 'cur/m.envelope', 'type': kind, **more}], [], [got])
    tree('drop-names', 'a drop with both names of its move to cur: it becomes one message', [f('new/daily.mail', drop), twin('cur/m.mail', 'new/daily.mail')], [], [got])
    tree('drop-names-bad', 'a drop whose move to bad was cut short: nothing was decided', [f('cur/m.mail', drop), twin('bad/m.mail', 'cur/m.mail')], [], [got])
    tree('drop-new-names-bad', 'a drop whose way back from bad was cut short: it becomes one message', [f('new/m.mail', drop), twin('bad/m.mail', 'new/m.mail')], [], [got])
    tree('bad-drop-names-bad', 'and it is malformed: set aside once', [f('cur/m.mail', 'hello\n'), twin('bad/m.mail', 'cur/m.mail')], ['bad/m.mail', 'bad/m.envelope'])
    tree('drop-tmp-name', 'a drop whose feeder has not removed its name in tmp', [f('new/daily.mail', drop), twin('tmp/t', 'new/daily.mail')], ['tmp/t'], [got])
    tree('dropped', 'DROPPED is left alone', [f('bad/m.mail', 'hello\n'), f('bad/m.envelope', f'Set-Aside: {TIME} x\n')], ['bad/m.mail', 'bad/m.envelope'])
    for name, text in (('text', 'hello\n'), ('mixed', drop.replace('\n', '\r\n', 1)), ('nul', drop + '\0'), ('nobody', 'From: a@example.com\n\nx\n')):
        tree('bad-drop-' + name, 'a malformed drop', [f('new/m.mail', text)], ['bad/*.envelope', f('bad/*.mail', text)])


def main(base):
    global BASE
    BASE = base
    os.makedirs(base, exist_ok=True)
    ids()
    good_envelopes()
    bad_envelopes()
    mails()
    trees()
    with open(os.path.join(base, 'index.json'), 'w', encoding='utf-8') as out:
        out.write('[\n' + ',\n'.join(json.dumps(v, ensure_ascii=False) for v in INDEX) + '\n]\n')
    print(len(INDEX), 'vectors')


if __name__ == '__main__':
    main(sys.argv[1])
