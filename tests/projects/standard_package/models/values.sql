{#- What a macro of the standard package gives, and what it has to give. -#}
{%- set cases = [
    (kinfold.normalize_email("' Ann@Example.COM '"), "'ann@example.com'"),
    (kinfold.normalize_email("'n/a'"), 'null'),
    (kinfold.normalize_email("'@x.org'"), 'null'),
    (kinfold.normalize_email("'x@'"), 'null'),
    (kinfold.normalize_email("''"), 'null'),
    (kinfold.normalize_email('cast(null as varchar)'), 'null'),
    (kinfold.normalize_phone("'+44 7911 123456'", '44'), "'+447911123456'"),
    (kinfold.normalize_phone("'0044 7911-123456'", '44'), "'+447911123456'"),
    (kinfold.normalize_phone("'07911 123456'", '44'), "'+447911123456'"),
    (kinfold.normalize_phone("'(7911) 123456'", '44'), "'+447911123456'"),
    (kinfold.normalize_phone("'12345'", '44'), 'null'),
    (kinfold.normalize_phone("'none'", '44'), 'null'),
    (kinfold.clean_text("'  a \t b  '"), "'a b'"),
    (kinfold.clean_text("'  '"), 'null'),
    (kinfold.clean_name("'ANN  MARIE'"), "'Ann Marie'"),
    (kinfold.clean_name("'ann'"), "'Ann'"),
    (kinfold.clean_name("'de Vries'"), "'de Vries'"),
    (kinfold.utc("'2024-02-29T10:00:00+02:00'"), "arrow_cast('2024-02-29T08:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"),
    (kinfold.utc("date '2024-02-29'"), "arrow_cast('2024-02-29T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')"),
    (kinfold.days_between("timestamp '2024-02-28 23:59:00'", "timestamp '2024-03-01 00:01:00'"), '2'),
    (kinfold.month_number("date '2024-02-29'"), '24290'),
] -%}
{% for found, expected in cases %}
select {{ loop.index }} as number, ({{ found }}) is not distinct from ({{ expected }}) as equal
{%- if not loop.last %} union all {%- endif %}
{%- endfor %}
