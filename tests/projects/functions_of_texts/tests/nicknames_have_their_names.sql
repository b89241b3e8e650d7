select * from (values
    (nickname_root('Bob'), 'robert'),
    -- Alexander or Alexandra.
    (nickname_root('Alex'), 'alex'),
    (nickname_root('Zoltán'), 'zoltan'),
    (nickname_root(''), null),
    (nickname_root(null), null),
    (array_to_string(full_names('Alex'), ' '), 'alexander alexandra'),
    (array_to_string(full_names('Rob'), ' '), 'robert')
) as t (found, expected)
where found is distinct from expected
