/** Languages that Didit's hosted flow speaks (contract/didit-api.md 2.1). */
export const LANGUAGES: readonly string[] = (
  'en ar bg bn bs ca cnr cs da de el es et fa fi fr he hi hr hu hy id it ja ka kk ko ky lt lv mk mn ms nl no pl pt-BR pt ' +
  'ro ru sk sl so sq sr sv th tr uk uz vi zh-CN zh-TW zh'
).split(' ');
