{# A comment is not read: {{ ref('no_such_model') }} #}
{%- set names = var('names') -%}
{%- set state = namespace(n=0) -%}
{%- set block -%} 42 {%- endset -%}
{% for x in range(3) %}{% set state.n = state.n + x %}{% endfor %}
select
    '{{ var("greeting") }}' as greeting,
    '{{ var("no_such_variable", "otherwise") }}' as otherwise,
    {{ var('limit_days') }} as limit_days,
    '{{ env_var("KINFOLD_NO_SUCH_VARIABLE", "fallback") }}' as env,
    '{{ this.schema }}.{{ this.identifier }}' as this_name,
    '{{ model.name }}' as model_name,
    '{{ project_name }}' as project,
    {{ state.n }} as state,
    {{ block }} as block,
    {% for name in names -%}
    '{{ name | upper }}' as name_{{ loop.index }},
    {% endfor -%}
    '{% for letter in letters() %}{{ letter }}{{ "-" if not loop.last }}{% endfor %}' as letters,
    {% call plus(1) %}2{% endcall %} as called,
    {% if execute %}1{% else %}0{% endif %} as executed,
    '{{ {"a": 1} | tojson }}' as json,
    '{{ "%03d" | format(7) }}' as formatted,
    {{ cents('1.25') }} as cents,
    {{ cents(column='1.25', factor=10) }} as tens
