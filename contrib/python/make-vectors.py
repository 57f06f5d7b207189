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
            'z' * 180, 'envelope', 'a.EML']
    bad = ['', '.a', '-a', '_a', 'a b', 'a/b', '../a', 'a\n', 'a\x00', 'ä', 'a,b', 'a.eml', 'a.envelope', 'a.mail',
           'z' * 181, 'a:2,S', 'a~', '+a', '=a']
    for n, s in enumerate(good):
        INDEX.append({'name': f'id-good-{n}', 'kind': 'id', 'id': s, 'valid': True})
    for n, s in enumerate(bad):
        INDEX.append({'name': f'id-bad-{n}', 'kind': 'id', 'id': s, 'valid': False})


# Envelopes

def envelope(name, text, why, line=None):
    facts = {'valid': False, 'why': why}
    if line:
        facts['line'] = line
    put('envelope', name, text, '.envelope', **facts)


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
    valid('times', [F, S, R, Z, 'Received-At: 2024-02-29T23:59:59Z', 'Next-Attempt: 2026-01-01T00:00:00.1Z'], 'leap day, fractions', SA, RB)
    valid('set-aside', [F, S, R, Z, f'Set-Aside: {TIME} user unknown'], 'set aside with its reason', SA, RB)
    valid('size-zero', [F, S, R, 'Size: 0'], 'an empty content', SA, RB, 0)
    valid('size-largest', [F, S, R, 'Size: ' + '9' * 18], '18 digits', SA, RB, int('9' * 18))
    valid('line-limit', [F, S, R, Z, 'X: ' + 'y' * (4096 - 4)], 'a line of exactly 4096 octets with its LF', SA, RB)
    valid('name-limit', [F, S, R, Z, 'N' * 64 + ': y'], 'a name of 64', SA, RB)
    long = 'a' * 256 + '@' + '.'.join(['b' * 63] * 3 + ['c' * 63])
    valid('address-limit', [F, S, f'Recipient: <{long}>', Z], 'local part of 256, domain of 255, labels of 63, address of 512', SA, [(long,)])
    valid('envid-limit', [F, 'Sender: <> ENVID=' + 'e' * 100, R, Z], 'an ENVID of 100', ('', [['ENVID', 'e' * 100]]), RB)
    valid('orcpt-utf8', [F, S, 'Recipient: <b@example.org> ORCPT=utf-8;bü@example.org', Z], 'RFC 6533', SA,
          [('b@example.org', [['ORCPT', 'utf-8;bü@example.org']])])


def bad_envelopes():
    ok = f'{F}\n{S}\n{R}\n{Z}\n'
    envelope('empty', '', 'an empty file', 1)
    envelope('only-end', '\n', 'nothing but the end')
    envelope('no-end', ok, 'cut off before the empty line', 5)
    envelope('no-lf', ok[:-1], 'cut off within the last line', 4)
    envelope('no-lf-end', ok + '\nx', 'text after the empty line', 6)
    envelope('second-end', ok + '\n\n', 'a second empty line', 6)
    envelope('format-not-first', f'{S}\n{F}\n{R}\n{Z}\n\n', 'Spool-Format is not first', 1)
    envelope('format-missing', f'{S}\n{R}\n{Z}\n\n', 'no Spool-Format', 1)
    envelope('format-9', f'Spool-Format: 9\n{S}\n{R}\n{Z}\n\n', 'a version that nobody knows', 1)
    envelope('format-01', f'Spool-Format: 01\n{S}\n{R}\n{Z}\n\n', 'not the version, as it is written', 1)
    envelope('format-twice', f'{F}\n{F}\n{S}\n{R}\n{Z}\n\n', 'Spool-Format twice', 2)
    envelope('no-sender', f'{F}\n{R}\n{Z}\n\n', 'no Sender')
    envelope('no-recipient', f'{F}\n{S}\n{Z}\n\n', 'no Recipient')
    envelope('no-size', f'{F}\n{S}\n{R}\n\n', 'no Size')
    for field, value in (('Sender', '<a@example.com>'), ('Size', '1'), ('SHA256', '0' * 64), ('Received-At', TIME),
                         ('Client-Address', 'x'), ('Client-Name', 'x'), ('Client-Ident', 'x'), ('Helo', 'x'), ('Protocol', 'x'),
                         ('TLS', 'x'), ('Attempts', '1'), ('Next-Attempt', TIME), ('Last-Error', 'x'), ('Set-Aside', TIME + ' x')):
        have = [F, S, R, Z] + ([] if field in ('Sender', 'Size') else [f'{field}: {value}'])
        envelope('twice-' + field.lower(), '\n'.join(have + [f'{field.upper()}: {value}']) + '\n\n', field + ' twice', len(have) + 1)
    for name, line, why in (
            ('fold', ' more', 'folding'), ('tab-fold', '\tmore', 'folding with a tab'), ('no-colon', 'Helo', 'no colon'),
            ('no-space', 'Helo:x', 'no space after the colon'), ('tab-space', 'Helo:\tx', 'a tab after the colon'),
            ('two-spaces', 'Helo:  x', 'two spaces'), ('end-space', 'Helo: x ', 'a space at the end'), ('no-value', 'Helo: ', 'no value'),
            ('space-before-colon', 'Helo : x', 'a space before the colon'), ('name-digit', '1X: x', 'a name that begins with a digit'),
            ('name-underscore', 'X_Y: x', 'an underscore in a name'), ('name-long', 'N' * 65 + ': x', 'a name of 65'),
            ('cr', 'Helo: x\r', 'CR LF'), ('nul', 'Helo: x\0y', 'NUL'), ('tab', 'Helo: x\ty', 'a tab in a value'), ('del', 'Helo: \x7f', 'DEL'),
            ('c1', 'Helo: x\u0085y', 'a control character beyond ASCII'), ('long-line', 'X: ' + 'y' * 4093, 'a line of 4097'),
            ('sha-short', 'SHA256: ' + '0' * 63, '63 digits'), ('sha-upper', 'SHA256: ' + 'A' * 64, 'upper case'),
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
        envelope(name, f'{ok}{line}\n\n', why, 5)
    envelope('outcome-twice', f'{ok}Delivered: <b@example.org> {TIME}\nFailed: <b@example.org> {TIME} x\n\n', 'two outcomes', 6)
    envelope('not-utf8', ok.encode() + b'Helo: \xff\n\n', 'not UTF-8', 5)
    envelope('overlong', ok.encode() + b'Helo: \xc0\xaf\n\n', 'an overlong form', 5)
    envelope('surrogate', ok.encode() + b'Helo: \xed\xa0\x80\n\n', 'a surrogate', 5)
    for name, size in (('sign', '+1'), ('leading-zero', '01'), ('long', '1' + '0' * 18), ('hex', '0x1'), ('word', 'one'), ('unit', '1k')):
        envelope('size-' + name, f'{F}\n{S}\n{R}\nSize: {size}\n\n', 'a bad size', 4)
    paths()
    many = ''.join(f'Recipient: <r{n}@x>\n' for n in range(5001))
    envelope('recipients-5001', f'{F}\n{S}\n{Z}\n{many}\n', 'one recipient too many', 5004)


def paths():
    for name, path, why in (
            ('bare', 'b@example.org', 'no angle brackets'), ('null', '<>', 'a recipient without address'), ('open', '<b@example.org', 'no >'),
            ('after', '<b@example.org>x', 'text after >'), ('route', '<@a,@b:c@example.org>', 'a source route'),
            ('dash', '<-oQ/tmp@example.org>', 'begins with -'), ('pipe', '<|/bin/sh@example.org>', 'begins with |'),
            ('slash', '</etc/passwd@example.org>', 'begins with /'), ('quoted-dash', '<"-x"@example.org>', 'begins with -, quotes off'),
            ('quoted-pipe', '<"\\|x"@example.org>', 'begins with |, quotes and backslash off'), ('dash-alone', '<-x>', 'begins with -'),
            ('include', '<":Include:/x"@example.org>', 'begins with :include:'), ('space', '<b c@example.org>', 'a space'),
            ('two-at', '<a@b@example.org>', 'two @'), ('no-domain', '<b@>', 'no domain'), ('no-local', '<@example.org>', 'no local part'),
            ('dots', '<a..b@example.org>', 'an empty atom'), ('dot-end', '<a.@example.org>', 'a dot at the end'),
            ('dot-begin', '<.a@example.org>', 'a dot at the beginning'), ('domain-dot', '<a@example.org.>', 'a dot after the domain'),
            ('domain-hyphen', '<a@-example.org>', 'a label that begins with a hyphen'), ('domain-hyphen-end', '<a@example-.org>', 'or ends with one'),
            ('label-64', '<a@' + 'b' * 64 + '.org>', 'a label of 64'), ('local-257', '<' + 'a' * 257 + '@example.org>', 'a local part of 257'),
            ('domain-256', '<a@' + '.'.join(['b' * 63] * 3 + ['c' * 62, 'd']) + '>', 'a domain of 256'),
            ('literal-empty', '<a@[]>', 'an empty literal'), ('literal-open', '<a@[1.2.3.4>', 'no ]'), ('quote-open', '<"a@example.org>', 'no closing quote'),
            ('quote-text', '<"a"b@example.org>', 'text after the quotes'), ('comment', '<a(b)@example.org>', 'a comment'),
            ('param-space', '<b@example.org>  X=1', 'two spaces'), ('param-twice', '<b@example.org> X=1 x=2', 'one keyword twice'),
            ('param-keyword', '<b@example.org> -X=1', 'a bad keyword'), ('param-empty', '<b@example.org> X=', 'no value'),
            ('param-equals', '<b@example.org> X=a=b', '= in a value'), ('notify-word', '<b@example.org> NOTIFY=SOMETIMES', 'no such word'),
            ('notify-never', '<b@example.org> NOTIFY=NEVER,DELAY', 'NEVER with others'), ('notify-twice', '<b@example.org> NOTIFY=DELAY,delay', 'a word twice'),
            ('notify-bare', '<b@example.org> NOTIFY', 'no value'), ('orcpt-type', '<b@example.org> ORCPT=b@example.org', 'no type'),
            ('orcpt-xtext', '<b@example.org> ORCPT=rfc822;b+2bx', 'lower-case hex'), ('orcpt-long', '<b@example.org> ORCPT=rfc822;' + 'x' * 494, '501 octets')):
        envelope('rcpt-' + name, f'{F}\n{S}\nRecipient: {path}\n{Z}\n\n', why, 3)
    for name, path, why in (
            ('dash', '<-f@example.com>', 'begins with -'), ('bare', '<> ', 'a space at the end'), ('body', '<> BODY=9BIT', 'no such body'),
            ('ret', '<> RET=ALL', 'no such word'), ('smtputf8', '<> SMTPUTF8=1', 'a value'), ('envid-long', '<> ENVID=' + 'x' * 101, '101 octets'),
            ('envid-xtext', '<> ENVID=a+0', 'half an escape'), ('space', '< >', 'a space')):
        envelope('sender-' + name, f'{F}\nSender: {path}\n{R}\n{Z}\n\n', why, 2)


# Drops

def mail(name, text, why, sender=None, recipients=None, content=None, line=None):
    if recipients is None:
        put('mail', name, text, '.mail', valid=False, why=why, **({'line': line} if line else {}))
        return
    path = f'mail/{name}.eml'
    put('mail', name, text, '.mail', valid=True, why=why, sender=sender, recipients=recipients, content=path)
    with open(os.path.join(BASE, path), 'wb') as f:
        whole = text if content is None else content
        f.write(whole if isinstance(whole, bytes) else whole.encode())


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
    mail('empty', '', 'an empty file')
    mail('no-recipient', a + '\nhello\n', 'no recipient')
    mail('no-sender', b + '\nhello\n', 'no sender')
    mail('text', 'hello\n', 'not a header', line=1)
    mail('text-later', a + b + 'hello\n\n', 'not a header field', line=3)
    mail('continuation', ' x\n' + a + b + '\n', 'a continuation of nothing', line=1)
    mail('cr', a + b + '\nhello\r\n', 'CR in the body')
    mail('cr-header', 'From: a@example.com\r\n' + b + '\n', 'CR in the header', line=1)
    mail('nul', a + b + '\nhel\0lo\n', 'NUL')
    mail('two-words', a + 'To: b c\n\n', 'two words', line=2)
    mail('two-words-domain', a + 'To: Bob b@example.org\n\n', 'a display name without brackets', line=2)
    mail('open-quote', a + 'To: "b@example.org\n\n', 'a quoted string without end', line=2)
    mail('open-comment', a + 'To: b@example.org (x\n\n', 'a comment without end', line=2)
    mail('open-angle', a + 'To: <b@example.org\n\n', 'an angle bracket without end', line=2)
    mail('two-angles', a + 'To: <b@example.org> <c@example.net>\n\n', 'no comma', line=2)
    mail('after-angle', a + 'To: <b@example.org> Bob\n\n', 'text after the address', line=2)
    mail('open-group', a + 'To: x: b@example.org\n\n', 'a group without end', line=2)
    mail('nested-group', a + 'To: x: y: b@example.org;;\n\n', 'groups do not nest', line=2)
    mail('semicolon', a + 'To: b@example.org;\n\n', 'a semicolon without a group', line=2)
    mail('dangerous', a + 'To: "|/bin/sh"@example.org\n\n', 'a dangerous address', line=2)
    mail('null-recipient', a + 'To: <>\n\n', 'a recipient without address', line=2)
    mail('bad-from', 'From: @\n' + b + '\n', 'a bad sender', line=1)
    mail('empty-from', 'From: \nSender: \n' + b + '\n', 'a sender field without address', line=2)
    mail('bad-return-path', 'Return-Path: x y\n' + a + b + '\n', 'a bad Return-Path', line=1)


# Trees

def tree(name, why, before, after, delivered=(), minutes=0):
    def entries(xs):
        return [x if isinstance(x, dict) else {'path': x} for x in xs]
    body = {'before': entries(before), 'after': entries(after), 'delivered': list(delivered)}
    if minutes:
        body['minutes'] = minutes
    put('tree', name, json.dumps(body, indent=1) + '\n', '.json', why=why)


def f(path, text='x\n', **more):
    return {'path': path, 'text': text, **more}


def trees():
    env = f'{F}\n{S}\n{R}\nSize: 2\n\n'
    other = env.replace('a@', 'other@')
    got = {'sender': 'a@example.com', 'recipients': ['b@example.org'], 'content': 'x\n'}
    drop = 'From: a@example.com\nTo: b@example.org\n\nx\n'
    dropped = {**got, 'content': drop}
    C, E = f('new/m.eml'), f('new/m.envelope', env)
    aside = ['bad/m.eml', 'bad/m.envelope']
    tree('empty', 'nothing', [], [])
    tree('ready', 'READY', [C, E], [], [got])
    tree('draft', 'DRAFT is left alone', [f('tmp/m.eml'), f('tmp/m.envelope', env)], ['tmp/m.eml', 'tmp/m.envelope'])
    tree('draft-old', 'after 36 hours it is removed', [f('tmp/m.eml', hours=37)], [])
    tree('half', 'HALF is left alone', [C, f('tmp/m.envelope', env)], ['new/m.eml', 'tmp/m.envelope'])
    tree('taking', 'TAKING', [C, f('cur/m.envelope', env)], [], [got])
    tree('owned', 'OWNED without owner', [f('cur/m.eml'), f('cur/m.envelope', env)], [], [got])
    tree('content-first', 'the content went first', [f('cur/m.eml'), E], [], [got])
    tree('done', 'DONE', [f('cur/m.eml')], [])
    tree('done-again', 'DONE, and another message of that id', [f('cur/m.eml', 'y\n'), C, E], [], [got])
    tree('same-id', 'two messages of one id', [f('cur/m.eml'), f('cur/m.envelope', other), C, E], [], [got, {**got, 'sender': 'other@example.com'}])
    tree('aside', 'ASIDE is left alone', [f('bad/m.eml'), f('bad/m.envelope', env)], aside)
    tree('left', 'LEFT', [f('bad/m.eml'), f('bad/m.envelope', env), {'path': 'cur/m.eml', 'same_as': 'bad/m.eml'}], aside, minutes=2)
    tree('leaving', 'LEAVING: not decided, so it is delivered', [f('cur/m.eml'), f('cur/m.envelope', env), {'path': 'bad/m.eml', 'same_as': 'cur/m.eml'}], [], [got], minutes=2)
    both = [C, E, {'path': 'bad/m.eml', 'same_as': 'new/m.eml'}, {'path': 'bad/m.envelope', 'same_as': 'new/m.envelope'}]
    tree('requeue-names-later', 'a requeue, and both files have their old names in bad: it is delivered once', both, [], [got], minutes=2)
    tree('requeue-name-later', 'a requeue, and the envelope has its old name in bad', [both[0], both[1], both[3]], [], [got], minutes=2)
    tree('drop-names-later', 'a drop with both names of its move to cur: it becomes one message',
         [f('new/daily.mail', drop), {'path': 'cur/m.mail', 'same_as': 'new/daily.mail'}], [], [dropped], minutes=2)
    tree('drop', 'DROP', [f('new/daily.mail', drop)], [], [dropped])
    tree('making', 'MAKING', [f('cur/m.mail', drop)], [], [dropped])
    tree('making1', 'MAKING1', [f('cur/m.mail', drop), f('cur/m.eml', 'half')], [], [dropped])
    tree('making1-envelope', 'MAKING1 after a power cut', [f('cur/m.mail', drop), f('cur/m.envelope', env)], [], [dropped], minutes=2)
    tree('made', 'MADE', [f('cur/m.mail', drop), f('cur/m.eml', drop), f('cur/m.envelope', env.replace('Size: 2', f'Size: {len(drop)}'))], [], [dropped])
    tree('alone-new', 'ALONE for a moment', [E], ['new/m.envelope'])
    tree('alone-new-later', 'ALONE for a minute', [E], ['bad/m.envelope'], minutes=2)
    tree('alone-cur-later', 'ALONE for a minute', [f('cur/m.envelope', env)], ['bad/m.envelope'], minutes=2)
    for box in ('new', 'cur'):
        tree(f'alone-{box}-names-later', 'ALONE, and its move to bad was cut short: set aside once',
             [f(f'{box}/m.envelope', env), {'path': 'bad/m.envelope', 'same_as': f'{box}/m.envelope'}], ['bad/m.envelope'], minutes=2)
    tree('alone-fifo-later', 'ALONE, and no file', [{'path': 'new/m.envelope', 'type': 'fifo'}], [{'path': 'bad/m.envelope', 'type': 'fifo'}], minutes=2)
    tree('alone-taken-later', 'ALONE, and the name is taken in bad', [E, f('bad/m.eml', 'older\n')], [f('bad/m.eml', 'older\n'), 'bad/*.envelope'], minutes=2)
    tree('orphan', 'ORPHAN for an hour', [f('new/m.eml', hours=1)], ['new/m.eml'])
    tree('orphan-old', 'ORPHAN for 36 hours', [f('new/m.eml', hours=37)], [f('bad/m.eml')], minutes=2)
    tree('link-tmp', 'a feeder died between link and unlink', [C, E, {'path': 'tmp/t', 'same_as': 'new/m.eml'}], ['tmp/t', 'new/m.eml', 'new/m.envelope'])
    tree('link-tmp-later', 'a minute later', [C, E, {'path': 'tmp/t', 'same_as': 'new/m.eml'}], [], [got], minutes=2)
    tree('unknown-names', 'names that are not of the format', [f('new/README'), f('new/.m.eml'), f('cur/m~.envelope'), f('new/a b.envelope', env)],
         ['new/README', 'new/.m.eml', 'cur/m~.envelope', 'new/a b.envelope'])
    for name, text in (('truncated', env[:-1]), ('double-sender', env.replace(S, S + '\n' + S)), ('no-sender', env.replace(S + '\n', '')),
                       ('no-recipient', env.replace(R + '\n', '')), ('version', env.replace(': 1', ': 9', 1)), ('option', env.replace('<b@', '<-b@')),
                       ('pipe', env.replace('<b@', '<|b@')), ('control', env.replace('<b@', '<b\x01@')), ('nul', env + '\0'),
                       ('size', env.replace('Size: 2', 'Size: 3')), ('empty', '')):
        tree('bad-' + name, 'malformed: set aside', [C, f('new/m.envelope', text)], aside)
    tree('bad-content-cr', 'a content with CR', [f('new/m.eml', '\r'), f('new/m.envelope', env.replace('2', '1'))], [f('bad/m.eml', '\r'), 'bad/m.envelope'])
    tree('bad-content-nul', 'a content with NUL', [f('new/m.eml', '\0\n'), E], aside)
    tree('bad-drop', 'a malformed drop', [f('new/m.mail', 'hello\n')], ['bad/*.envelope', f('bad/*.mail', 'hello\n')])
    tree('bad-name-taken', 'the name is taken in bad', [C, f('new/m.envelope', ''), f('bad/m.eml', 'older\n')], [f('bad/m.eml', 'older\n'), f('bad/*.eml', 'x\n'), 'bad/*.envelope'])
    for kind, more in (('symlink', {'to': '/etc/passwd'}), ('fifo', {}), ('dir', {})):
        odd = {'type': kind, **more}
        shown = {'type': kind}
        tree(f'{kind}-content', 'no file in the place of the content', [{'path': 'new/m.eml', **odd}, E], [{'path': 'bad/m.eml', **shown}, 'bad/m.envelope'])
        tree(f'{kind}-envelope', 'no file in the place of the envelope', [C, {'path': 'new/m.envelope', **odd}], ['bad/m.eml', {'path': 'bad/m.envelope', **shown}])
        tree(f'{kind}-drop', 'no file in the place of the drop', [{'path': 'new/m.mail', **odd}], ['bad/m.envelope', {'path': 'bad/m.mail', **shown}])
    tree('delivered-already', 'nothing pending: it is finished without an agent', [C, f('new/m.envelope', env[:-1] + f'Delivered: <b@example.org> {TIME}\n\n')], [])
    tree('partly-delivered', 'only who is pending gets it',
         [C, f('new/m.envelope', env[:-1] + f'Recipient: <c@example.org>\nDelivered: <b@example.org> {TIME}\n\n')], [], [{**got, 'recipients': ['c@example.org']}])
    tree('no-last-lf', 'a last line without LF', [f('new/m.eml', 'xy'), E], [], [{**got, 'content': 'xy'}])


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
