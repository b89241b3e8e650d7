{#- Values that people typed, in the one form in which they can be compared. What is no value of its
    kind becomes null: two records that both say "n/a" have nothing in common. -#}

{% macro normalize_email(expression) -%}
CASE WHEN trim({{ expression }}) LIKE '_%@_%' THEN lower(trim({{ expression }})) END
{%- endmacro %}

{#- Digits in the international form `+44…`. A number without the country's code is taken for one of
    `country_code`. -#}
{% macro normalize_phone(expression, country_code) -%}
{%- set digits = "regexp_replace(" ~ expression ~ ", '[^0-9]', '', 'g')" -%}
CASE
    WHEN character_length({{ digits }}) NOT BETWEEN 7 AND 17 THEN NULL
    WHEN trim({{ expression }}) LIKE '+%' THEN '+' || {{ digits }}
    WHEN {{ digits }} LIKE '00%' THEN '+' || substr({{ digits }}, 3)
    WHEN {{ digits }} LIKE '0%' THEN '+{{ country_code }}' || substr({{ digits }}, 2)
    ELSE '+{{ country_code }}' || {{ digits }}
END
{%- endmacro %}

{#- Text without white space around it and without runs of it; null if nothing remains. -#}
{% macro clean_text(expression) -%}
nullif(trim(regexp_replace({{ expression }}, '\s+', ' ', 'g')), '')
{%- endmacro %}

{#- A name. Capitals are put right only where somebody typed none, or nothing else: `de Vries` stays. -#}
{% macro clean_name(expression) -%}
{%- set text = clean_text(expression) -%}
CASE
    WHEN {{ text }} = upper({{ text }}) OR {{ text }} = lower({{ text }}) THEN initcap({{ text }})
    ELSE {{ text }}
END
{%- endmacro %}

{#- The domain of an address on the web, without `www.`. -#}
{% macro website_domain(expression) -%}
nullif(regexp_replace(regexp_replace(lower(trim({{ expression }})), '^([a-z]+:)?//', ''), '^(www\.)?([^/:?#]*).*$', '\2'), '')
{%- endmacro %}
